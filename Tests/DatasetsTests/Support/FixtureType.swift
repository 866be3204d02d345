import CHDF5

@testable import Datasets

/// A type to store fixtures in.
indirect enum FixtureType: Sendable {
  case float(bytes: Int, bigEndian: Bool = false)
  case integer(bytes: Int, signed: Bool = true, bigEndian: Bool = false)
  /// Names with 8-bit values.
  case enumeration([(String, Int8)])
  case fixedString(bytes: Int, utf8: Bool = false, spacePadded: Bool = false)
  case variableString(utf8: Bool = true)
  case array(FixtureType, [Int])

  static let boolean = FixtureType.enumeration([("FALSE", 0), ("TRUE", 1)])

  /// A libhdf5 type that the caller closes.
  func make() -> hid_t {
    switch self {
    case .float(let bytes, let bigEndian):
      let type = H5Tcopy(bytes == 8 ? hdf5NativeDouble() : hdf5NativeFloat())
      if bytes == 2 {
        // IEEE half precision: sign at bit 15, 5 bits of exponent, 10 of mantissa.
        H5Tset_fields(type, 15, 10, 5, 0, 10)
        H5Tset_size(type, 2)
        H5Tset_ebias(type, 15)
      }
      H5Tset_order(type, bigEndian ? H5T_ORDER_BE : H5T_ORDER_LE)
      return type
    case .integer(let bytes, let signed, let bigEndian):
      let type = H5Tcopy(hdf5NativeInt64())
      H5Tset_size(type, bytes)
      H5Tset_sign(type, signed ? H5T_SGN_2 : H5T_SGN_NONE)
      H5Tset_order(type, bigEndian ? H5T_ORDER_BE : H5T_ORDER_LE)
      return type
    case .enumeration(let members):
      let base = FixtureType.integer(bytes: 1).make()
      defer { H5Tclose(base) }
      let type = H5Tenum_create(base)
      for (name, value) in members {
        var value = value
        H5Tenum_insert(type, name, &value)
      }
      return type
    case .fixedString(let bytes, let utf8, let spacePadded):
      let type = H5Tcopy(hdf5CString())
      H5Tset_size(type, bytes)
      H5Tset_strpad(type, spacePadded ? H5T_STR_SPACEPAD : H5T_STR_NULLPAD)
      H5Tset_cset(type, utf8 ? H5T_CSET_UTF8 : H5T_CSET_ASCII)
      return type
    case .variableString(let utf8): return MemoryElement.variableString(utf8: utf8).makeType()
    case .array(let element, let shape):
      let element = element.make()
      defer { H5Tclose(element) }
      return H5Tarray_create2(element, UInt32(shape.count), shape.map { hsize_t($0) })
    }
  }
}
