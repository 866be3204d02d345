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

  /// The first few names; a list of thousands helps nobody.
  static func list(_ names: [String], limit: Int = 12) -> String {
    names.prefix(limit).joined(separator: ", ") + (names.count > limit ? ", …" : "")
  }
}
