// The addresses of a Route Server's instances. Read in a deployment of its own: before it has its place, it has none.
@description('Name of the Route Server, in this resource group.')
param name string

resource server 'Microsoft.Network/virtualHubs@2025-05-01' existing = {
  name: name
}

output addresses string[] = server.properties.virtualRouterIps
