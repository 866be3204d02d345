import CHDF5

/// An open group: its links by name.
struct StoredGroup: Sendable {
  enum Link: Sendable, Equatable {
    case hard
    case soft(target: String)
    case external(file: String, object: String)
    /// A kind of link that some program made up.
    case userDefined
  }

  /// Longer names are damage or an attack: libhdf5 itself allows 64 KB.
  private static let longestName = 4096

  let handle: Handle
  let location: DataLocation

  /// The names of all links, in ascending order.
  func names() throws(DatasetError) -> [String] {
    let count = try HDF5Library.check(.damagedFile, location, "the group cannot be listed") {
      handle.use { group in
        var info = H5G_info_t()
        let status = H5Gget_info(group, &info)
        return status < 0 ? -1 : Int64(clamping: info.nlinks)
      }
    }
    var names: [String] = []
    var buffer = [CChar](repeating: 0, count: Self.longestName + 1)
    for index in 0..<hsize_t(count) {
      let length = try HDF5Library.check(.damagedFile, location, "the group cannot be listed") {
        handle.use { hdf5GetLinkName($0, index, &buffer, buffer.count) }
      }
      guard length <= Self.longestName else {
        throw DatasetError(.tooLarge, location, "it holds a link with an overlong name")
      }
      names.append(String(decoding: buffer.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
    return names
  }

  /// The link of that name, without following it; nil when there is none.
  func link(_ name: String) throws(DatasetError) -> Link? {
    var size = 0
    let kind = try HDF5Library.check(.damagedFile, location, "the link '\(name)' cannot be read") {
      handle.use { hdf5GetLink($0, name, &size) }
    }
    switch UInt32(kind) {
    case hdf5LinkAbsent.rawValue: return nil
    case hdf5LinkHard.rawValue: return .hard
    case hdf5LinkUserDefined.rawValue: return .userDefined
    default: break
    }
    guard size <= 2 * Self.longestName else {
      throw DatasetError(.tooLarge, location, "the link '\(name)' has an overlong target")
    }
    var value = [CChar](repeating: 0, count: size + 1)
    _ = try HDF5Library.check(.damagedFile, location, "the link '\(name)' cannot be read") {
      handle.use { H5Lget_val($0, name, &value, size, hdf5DefaultProperties()) }
    }
    if UInt32(kind) == hdf5LinkSoft.rawValue { return .soft(target: Self.text(value[...])) }
    // An external link's value: a byte of flags, the file's name, 0, the object's path, 0.
    let file = value.dropFirst().prefix { $0 != 0 }
    return .external(file: Self.text(file), object: Self.text(value.dropFirst(file.count + 2)))
  }

  private static func text(_ characters: ArraySlice<CChar>) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
