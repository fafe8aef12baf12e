// Resource ids taken apart and judged, and lists as people write them. Nothing is deployed by this file.

@export()
@description('The entries of a comma-separated list; spaces around them and empty ones do not count.')
func listed(value string) string[] => filter(map(split(value, ','), entry => trim(entry)), entry => !empty(entry))

// An id that is none is named by `problemsOf`: what takes it apart must not fail before that is said.
@export()
@description('Subscription of a resource id, a GUID.')
func subscriptionOf(id string) string => split(id, '/')[?2] ?? ''

@export()
@description('Resource group of a resource id.')
func groupOf(id string) string => split(id, '/')[?4] ?? ''

@export()
@description('Id of the virtual network that a subnet is in.')
func networkOf(subnetId string) string => join(take(split(subnetId, '/'), 9), '/')

@export()
@description('What is wrong with ids that must be of one type, a sentence each. An empty list has nothing wrong.')
func problemsOf(setting string, type string, ids string[]) string[] =>
  map(
    filter(ids, id => !isOfType(id, type)),
    id =>
      '${setting}: "${id}" is not the resource id of a ${type} (/subscriptions/.../resourceGroups/.../providers/${type}/...)'
  )

@export()
@description('What is wrong with ids of resource groups, a sentence each.')
func problemsOfGroups(setting string, ids string[]) string[] =>
  map(
    filter(ids, id => length(split(id, '/')) != 5 || !startsWith(toLower(id), '/subscriptions/')),
    id => '${setting}: "${id}" is not the id of a resource group (/subscriptions/.../resourceGroups/...)'
  )

// A type has one segment for each level (`virtualNetworks/subnets`), an id two, after the eight of group and provider:
// the first of them is the empty one before the leading slash.
func isOfType(id string, type string) bool =>
  startsWith(toLower(id), '/subscriptions/') && length(split(id, '/')) == 5 + 2 * length(split(type, '/')) && contains(
    toLower(id),
    toLower('/providers/${split(type, '/')[0]}/${split(type, '/')[1]}/')
  ) && empty(filter(split(id, '/'), (part, i) => i > 0 && empty(trim(part))))
