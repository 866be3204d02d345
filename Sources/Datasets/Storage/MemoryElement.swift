import CHDF5

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
