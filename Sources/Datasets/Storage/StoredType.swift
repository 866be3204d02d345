import CHDF5

/// A type as a file stores it.
indirect enum StoredType: Sendable, Equatable {
  struct Member: Sendable, Equatable {
    let name: String
    let value: Int64
  }

  struct Field: Sendable, Equatable {
    let name: String
    let type: StoredType
  }

  case integer(bytes: Int, signed: Bool, bigEndian: Bool)
  case float(bytes: Int, bigEndian: Bool)
  /// Members in ascending order of their values.
  case enumeration([Member])
  case fixedString(bytes: Int, utf8: Bool)
  case variableString(utf8: Bool)
  case array(StoredType, shape: [Int])
  case compound([Field])
  /// What no reader of this module takes, by its name.
  case other(String)

  /// `enum {FALSE = 0, TRUE = 1}`: how h5py stores Booleans.
  var isBoolean: Bool {
    guard case .enumeration(let members) = self else { return false }
    return members == [Member(name: "FALSE", value: 0), Member(name: "TRUE", value: 1)]
  }

  var isInteger: Bool {
    if case .integer = self { return true }
    return isBoolean
  }

  var isFloat: Bool {
    if case .float = self { return true }
    return false
  }

  var isNumeric: Bool { isInteger || isFloat }

  var isString: Bool {
    switch self {
    case .fixedString, .variableString: true
    default: false
    }
  }
}

extension StoredType: CustomStringConvertible {
  var description: String {
    switch self {
    case .integer(let bytes, let signed, let bigEndian):
      "\(signed ? "int" : "uint")\(bytes * 8)\(bigEndian && bytes > 1 ? " big-endian" : "")"
    case .float(let bytes, let bigEndian): "float\(bytes * 8)\(bigEndian ? " big-endian" : "")"
    case .enumeration(let members):
      isBoolean ? "bool" : "enum of \(members.count): \(Self.list(members.map(\.name)))"
    case .fixedString(let bytes, _): "string of \(bytes) bytes"
    case .variableString: "string"
    case .array(let element, let shape): "\(element) [\(shape.map(String.init).joined(separator: " × "))]"
    case .compound(let fields): "compound of \(fields.count): \(Self.list(fields.map(\.name)))"
    case .other(let name): name
    }
  }

  /// The first few names: a longer list is cut.
  static func list(_ names: [String], limit: Int = 12) -> String {
    names.prefix(limit).joined(separator: ", ") + (names.count > limit ? ", …" : "")
  }
}

/// Translates libhdf5's description of a type.
struct StoredTypeReader {
  /// Types nest without end in principle; files of this field stop at an array in a compound.
  private static let maxNesting = 4

  let location: DataLocation

  func read(_ type: Handle, depth: Int = 0) throws(DatasetError) -> StoredType {
    guard depth <= Self.maxNesting else { return .other("deeply nested type") }
    let bytes = type.use { Int(clamping: H5Tget_size($0)) }
    guard bytes > 0 else { throw unreadable }
    let bigEndian = type.use { H5Tget_order($0) == H5T_ORDER_BE }
    switch type.use({ H5Tget_class($0) }) {
    case H5T_INTEGER:
      return .integer(bytes: bytes, signed: type.use { H5Tget_sign($0) } == H5T_SGN_2, bigEndian: bigEndian)
    case H5T_FLOAT: return .float(bytes: bytes, bigEndian: bigEndian)
    case H5T_STRING:
      let variable = try check { type.use { H5Tis_variable_str($0) } }
      let utf8 = type.use { H5Tget_cset($0) } == H5T_CSET_UTF8
      return variable > 0 ? .variableString(utf8: utf8) : .fixedString(bytes: bytes, utf8: utf8)
    case H5T_ENUM: return try enumeration(type)
    case H5T_ARRAY: return try array(type, depth)
    case H5T_COMPOUND: return try compound(type, depth)
    case H5T_REFERENCE: return .other("reference")
    case H5T_BITFIELD: return .other("bit field")
    case H5T_OPAQUE: return .other("opaque bytes")
    case H5T_VLEN: return .other("sequences of varying length")
    case H5T_TIME: return .other("time")
    default: return .other("unknown type")
    }
  }

  private func enumeration(_ type: Handle) throws(DatasetError) -> StoredType {
    let base = try handle { type.use { H5Tget_super($0) } }
    // A value is converted in place, so the buffer holds the larger of both forms.
    guard base.use({ H5Tget_size($0) }) <= 8 else { return .other("enumeration of large integers") }
    let count = try check { type.use { H5Tget_nmembers($0) } }
    var members: [StoredType.Member] = []
    for index in 0..<UInt32(count) {
      var value: Int64 = 0
      _ = try check {
        type.use { typeID in
          base.use { baseID in
            let status = H5Tget_member_value(typeID, index, &value)
            return status < 0 ? status : H5Tconvert(baseID, hdf5NativeInt64(), 1, &value, nil, hdf5DefaultProperties())
          }
        }
      }
      members.append(StoredType.Member(name: try memberName(type, index), value: value))
    }
    return .enumeration(members.sorted { $0.value < $1.value })
  }

  private func array(_ type: Handle, _ depth: Int) throws(DatasetError) -> StoredType {
    let base = try handle { type.use { H5Tget_super($0) } }
    let rank = Int(try check { type.use { H5Tget_array_ndims($0) } })
    var dimensions = [hsize_t](repeating: 0, count: rank)
    _ = try check { type.use { H5Tget_array_dims2($0, &dimensions) } }
    let shape = dimensions.compactMap { Int(exactly: $0) }
    guard shape.count == rank else { throw unreadable }
    return .array(try read(base, depth: depth + 1), shape: shape)
  }

  private func compound(_ type: Handle, _ depth: Int) throws(DatasetError) -> StoredType {
    let count = try check { type.use { H5Tget_nmembers($0) } }
    var fields: [StoredType.Field] = []
    for index in 0..<UInt32(count) {
      let member = try handle { type.use { H5Tget_member_type($0, index) } }
      fields.append(StoredType.Field(name: try memberName(type, index), type: try read(member, depth: depth + 1)))
    }
    return .compound(fields)
  }

  private func memberName(_ type: Handle, _ index: UInt32) throws(DatasetError) -> String {
    try type.use { (id) throws(DatasetError) in
      guard let name = H5Tget_member_name(id, index) else { throw unreadable }
      defer { H5free_memory(name) }
      return String(cString: name)
    }
  }

  private var unreadable: DatasetError { DatasetError(.damagedFile, location, "its type cannot be read") }

  private func handle(_ open: () -> hid_t) throws(DatasetError) -> Handle {
    try Handle(.damagedFile, location, "its type cannot be read", open)
  }

  private func check<Status: SignedInteger>(_ call: () -> Status) throws(DatasetError) -> Status {
    try HDF5Library.check(.damagedFile, location, "its type cannot be read", call)
  }
}

/// The form in which elements arrive in memory; libhdf5 converts from whatever the file stores.
enum MemoryElement: Sendable, Equatable {
  case float
  case double
  case int64
  /// What exceeds the range arrives as its end.
  case int32
  /// Padded with zeros. `utf8` must be as stored: libhdf5 does not convert between its two character sets.
  case fixedString(bytes: Int, utf8: Bool)
  /// A pointer to a zero-terminated string that libhdf5 allocates, and `H5Dvlen_reclaim` frees.
  case variableString(utf8: Bool)

  var byteCount: Int {
    switch self {
    case .float, .int32: 4
    case .double, .int64: 8
    case .fixedString(let bytes, _): bytes
    case .variableString: MemoryLayout<UnsafeMutablePointer<CChar>?>.size
    }
  }

  /// A new libhdf5 type; negative on failure.
  func makeType() -> hid_t {
    switch self {
    case .float: return H5Tcopy(hdf5NativeFloat())
    case .double: return H5Tcopy(hdf5NativeDouble())
    case .int64: return H5Tcopy(hdf5NativeInt64())
    case .int32: return H5Tcopy(hdf5NativeInt32())
    case .fixedString(let bytes, let utf8):
      let type = H5Tcopy(hdf5CString())
      guard type >= 0, H5Tset_size(type, bytes) >= 0, H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0,
        H5Tset_cset(type, utf8 ? H5T_CSET_UTF8 : H5T_CSET_ASCII) >= 0
      else { return -1 }
      return type
    case .variableString(let utf8):
      let type = H5Tcopy(hdf5CString())
      guard type >= 0, H5Tset_size(type, hdf5VariableLength()) >= 0,
        H5Tset_cset(type, utf8 ? H5T_CSET_UTF8 : H5T_CSET_ASCII) >= 0
      else { return -1 }
      return type
    }
  }
}
