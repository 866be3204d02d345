import CHDF5

/// Small attributes of an object: texts and integers.
struct AttributeReader {
  /// Attributes with more elements than this are not read.
  static let maxElements = 64
  private static let maxTextBytes = 64 << 10

  let object: Handle
  let location: DataLocation

  /// The text of a scalar string attribute; nil when there is none of that name or it is no text.
  func text(_ name: String) throws(DatasetError) -> String? {
    guard let attribute = try open(name) else { return nil }
    return try texts(attribute)?.first
  }

  /// The integers of an attribute; nil when there is none of that name or it holds something else.
  func integers(_ name: String) throws(DatasetError) -> [Int64]? {
    guard let attribute = try open(name), try type(attribute).isInteger else { return nil }
    guard let count = try count(attribute) else { return nil }
    var values = [Int64](repeating: 0, count: count)
    _ = try HDF5Library.check(.damagedFile, location, "its attribute '\(name)' cannot be read") {
      attribute.use { H5Aread($0, hdf5NativeInt64(), &values) }
    }
    return values
  }

  /// All attributes in the order of their names, for people: values where they are few texts or numbers, else the type.
  func describeAll() throws(DatasetError) -> [String: String] {
    let count = try HDF5Library.check(.damagedFile, location, "its attributes cannot be listed") {
      object.use { hdf5CountAttributes($0) }
    }
    var result: [String: String] = [:]
    for index in 0..<hsize_t(min(count, Int64(Self.maxElements))) {
      let attribute = try Handle(.damagedFile, location, "its attributes cannot be read") {
        object.use { hdf5OpenAttribute($0, index) }
      }
      var name = [CChar](repeating: 0, count: 1024)
      _ = try HDF5Library.check(.damagedFile, location, "its attributes cannot be read") {
        attribute.use { H5Aget_name($0, name.count, &name) }
      }
      let key = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let type = try type(attribute)
      if let texts = try texts(attribute) {
        result[key] = StoredType.list(texts)
      } else if type.isInteger, let integers = try integers(key) {
        result[key] = StoredType.list(integers.map(String.init))
      } else {
        result[key] = type.description
      }
    }
    return result
  }

  private func open(_ name: String) throws(DatasetError) -> Handle? {
    let exists = try HDF5Library.check(.damagedFile, location, "its attributes cannot be read") {
      object.use { H5Aexists($0, name) }
    }
    guard exists > 0 else { return nil }
    return try Handle(.damagedFile, location, "its attribute '\(name)' cannot be read") {
      object.use { H5Aopen($0, name, hdf5DefaultProperties()) }
    }
  }

  private func typeHandle(_ attribute: Handle) throws(DatasetError) -> Handle {
    try Handle(.damagedFile, location, "an attribute's type cannot be read") { attribute.use { H5Aget_type($0) } }
  }

  private func type(_ attribute: Handle) throws(DatasetError) -> StoredType {
    try StoredTypeReader(location: location).read(typeHandle(attribute))
  }

  /// nil when there are too many.
  private func count(_ attribute: Handle) throws(DatasetError) -> Int? {
    let shape = try StoredDataset.shape(location: location, elementBytes: 8) { attribute.use { H5Aget_space($0) } }
    let count = shape.reduce(1, *)
    return count <= Self.maxElements ? count : nil
  }

  private func texts(_ attribute: Handle) throws(DatasetError) -> [String]? {
    let stored = try typeHandle(attribute)
    guard let count = try count(attribute), count > 0 else { return nil }
    let problem = "an attribute cannot be read"
    switch try StoredTypeReader(location: location).read(stored) {
    case .fixedString(let bytes, let utf8):
      guard bytes <= Self.maxTextBytes else { return nil }
      let type = try Handle(.damagedFile, location, problem) {
        MemoryElement.fixedString(bytes: bytes, utf8: utf8).makeType()
      }
      var buffer = [UInt8](repeating: 0, count: count * bytes)
      _ = try HDF5Library.check(.damagedFile, location, problem) {
        attribute.use { attribute in type.use { H5Aread(attribute, $0, &buffer) } }
      }
      return (0..<count).map {
        String(decoding: buffer[($0 * bytes)..<(($0 + 1) * bytes)].prefix { $0 != 0 }, as: UTF8.self)
      }
    case .variableString(let utf8):
      let type = try Handle(.damagedFile, location, problem) { MemoryElement.variableString(utf8: utf8).makeType() }
      let space = try Handle(.damagedFile, location, problem) { attribute.use { H5Aget_space($0) } }
      var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
      _ = try HDF5Library.check(.damagedFile, location, problem) {
        attribute.use { attribute in type.use { H5Aread(attribute, $0, &pointers) } }
      }
      let texts = pointers.map { $0.map { String(cString: $0) } ?? "" }
      _ = type.use { type in space.use { H5Dvlen_reclaim(type, $0, hdf5DefaultProperties(), &pointers) } }
      return texts
    default: return nil
    }
  }
}
