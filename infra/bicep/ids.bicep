// Resource ids taken apart and judged, and lists as people write them. Nothing is deployed by this file.

@export()
@description('The entries of a comma-separated list; spaces around them and empty ones do not count.')
func listed(value string) string[] => filter(map(split(value, ','), entry => trim(entry)), entry => !empty(entry))

@export()
@description('A text without spaces and line ends around it; where nothing is left, `otherwise`.')
func textOf(value string, otherwise string) string => empty(trim(value)) ? otherwise : trim(value)

@export()
@description('Each id once: Azure compares them without case.')
func distinct(ids string[]) string[] =>
  filter(ids, (id, i) => indexOf(map(ids, each => toLower(each)), toLower(id)) == i)

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
    filter(ids, id => length(split(id, '/')) != 5 || !isInGroup(id)),
    id => '${setting}: "${id}" is not the id of a resource group (/subscriptions/.../resourceGroups/...)'
  )

@export()
@description('What is wrong with prefixes that must be written as IPv4 CIDR, a sentence each.')
func problemsOfPrefixes(setting string, prefixes string[]) string[] =>
  map(
    filter(prefixes, prefix => length(split(prefix, '/')) != 2 || length(split(prefix, '.')) != 4),
    prefix => '${setting}: "${prefix}" is not a prefix like 10.0.9.0/27'
  )

// A type has one segment for each level (`virtualNetworks/subnets`), an id two, after the eight of group and provider:
// the first of them is the empty one before the leading slash.
func isOfType(id string, type string) bool =>
  isInGroup(id) && length(split(id, '/')) == 5 + 2 * length(split(type, '/')) && contains(
    toLower(id),
    toLower('/providers/${split(type, '/')[0]}/${split(type, '/')[1]}/')
  ) && toLower(split(id, '/')[?(length(split(id, '/')) - 2)] ?? '') == toLower(last(split(type, '/'))) && empty(filter(
    split(id, '/'),
    (part, i) => i > 0 && empty(trim(part))
  ))

func isInGroup(id string) bool =>
  startsWith(toLower(id), '/subscriptions/') && length(subscriptionOf(id)) == 36 && toLower(split(id, '/')[?3] ?? '') == 'resourcegroups' && !empty(trim(groupOf(id)))
