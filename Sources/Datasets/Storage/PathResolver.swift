import CHDF5

/// Walks a path link by link, so that libhdf5 itself only ever follows hard links: soft links are resolved here within the
/// file, every other kind is refused before it is touched.
struct PathResolver {
  /// Soft links on one path; a cycle of them ends here.
  private static let mostSoftLinks = 16

  let root: StoredGroup

  /// - Throws: `missingObject`, `externalLink`, `wrongObject` (a dataset where the path goes on), and what opening throws.
  func resolve(_ path: String) throws(DatasetError) -> StoredObject {
    let location = root.location.object(path)
    var pending = Array(ObjectPath.components(path).reversed())
    var group = root
    var softLinks = 0
    while let name = pending.popLast() {
      switch try group.link(name) {
      case nil:
        throw missing(name, in: group, location)
      case .soft(let target):
        softLinks += 1
        guard softLinks <= Self.mostSoftLinks else {
          throw DatasetError(.missingObject, location, "its soft links lead in a circle")
        }
        if target.hasPrefix("/") { group = root }
        pending += ObjectPath.components(target).reversed()
      case .external(let file, let object):
        throw DatasetError(
          .externalLink, location,
          "'\(name)' is an external link to '\(object)' in the file '\(file)'; other files are never opened: copy it in"
        )
      case .userDefined:
        throw DatasetError(.externalLink, location, "'\(name)' is a user-defined link, which is not followed")
      case .hard:
        let handle = try Handle(.damagedFile, location, "'\(name)' cannot be opened") {
          group.handle.use { H5Oopen($0, name, hdf5DefaultProperties()) }
        }
        switch handle.use({ H5Iget_type($0) }) {
        case H5I_GROUP: group = StoredGroup(handle: handle, location: location)
        case H5I_DATASET:
          let dataset = StoredDataset(handle: handle, group: group, name: name, location: location)
          guard let next = pending.last else { return .dataset(dataset) }
          throw DatasetError(
            .wrongObject, location,
            "'\(name)' is a dataset, not a group, so there is no '\(next)' below it; a field of a compound dataset is "
              + "written \(name)[\(next)]")
        default: throw DatasetError(.wrongObject, location, "'\(name)' is neither a group nor a dataset")
        }
      }
    }
    return .group(StoredGroup(handle: group.handle, location: location))
  }

  private func missing(_ name: String, in group: StoredGroup, _ location: DataLocation) -> DatasetError {
    let names = (try? group.names()) ?? []
    let there = names.isEmpty ? "nothing" : StoredType.list(names)
    return DatasetError(.missingObject, location, "there is no '\(name)'; where it should be there is: \(there)")
  }
}
