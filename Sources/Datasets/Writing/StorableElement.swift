import CHDF5
package import Tensors

/// An element type that `HDF5Writer` stores, little-endian whatever the machine.
package protocol StorableElement: TensorElement {
  static var stored: StoredNumber { get }
}

/// The number formats of written files.
package enum StoredNumber: Sendable, Equatable {
  case float32, int64

  /// The libhdf5 types in the file and in memory; neither is to be closed.
  var types: (file: hid_t, memory: hid_t) {
    switch self {
    case .float32: (hdf5LittleEndianFloat32(), hdf5NativeFloat())
    case .int64: (hdf5LittleEndianInt64(), hdf5NativeInt64())
    }
  }
}

extension Float: StorableElement { package static var stored: StoredNumber { .float32 } }
extension Int64: StorableElement { package static var stored: StoredNumber { .int64 } }
