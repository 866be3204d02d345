import CHDF5
import Foundation
import Testing

@testable import Datasets

/// Writes HDF5 files as other programs would, by plain libhdf5 calls.
final class FixtureFile {
  enum Filter {
    case gzip, shuffle, fletcher32
    /// A filter that is registered nowhere here; optional, so that libhdf5 writes without it.
    case plugin(Int32)
  }

  struct Field {
    let name: String
    let type: FixtureType
    /// Each row's bytes in the field's type.
    let rows: [[UInt8]]
  }

  let path: String
  private let file: hid_t

  init(_ path: String) throws {
    self.path = path
    file = HDF5Library.locked {
      H5Fcreate(path, 2 /* truncate */, hdf5DefaultProperties(), hdf5DefaultProperties())
    }
    try #require(file >= 0, "libhdf5 does not create \(path): \(String(cString: strerror(errno)))")
  }

  /// Must come before the file is read.
  func close() {
    HDF5Library.locked { _ = H5Fclose(file) }
  }

  /// Numbers, converted from `Double` to `type`.
  func numbers(
    _ path: String, _ type: FixtureType, shape: [Int], _ values: [Double], chunk: [Int]? = nil, filters: [Filter] = []
  ) throws {
    try dataset(path, type, shape: shape, chunk: chunk, filters: filters) { dataset in
      H5Dwrite(dataset, hdf5NativeDouble(), hdf5WholeSpace(), hdf5WholeSpace(), hdf5DefaultProperties(), values)
    }
  }

  /// Integers, converted from `Int64` to `type`; bytes of `type` itself for enumerations.
  func integers(
    _ path: String, _ type: FixtureType = .integer(bytes: 8), shape: [Int]? = nil, values: [Int64],
    chunk: [Int]? = nil, filters: [Filter] = []
  ) throws {
    try dataset(path, type, shape: shape ?? [values.count], chunk: chunk, filters: filters) { dataset in
      guard case .enumeration = type else {
        return H5Dwrite(dataset, hdf5NativeInt64(), hdf5WholeSpace(), hdf5WholeSpace(), hdf5DefaultProperties(), values)
      }
      return Self.writeBytes(dataset, values.map { UInt8(bitPattern: Int8($0)) })
    }
  }

  func strings(_ path: String, _ type: FixtureType, _ values: [String], shape: [Int]? = nil) throws {
    try dataset(path, type, shape: shape ?? [values.count]) { Self.writeStrings($0, type, values, H5Dget_type) }
  }

  /// A dataset with no elements written.
  func empty(
    _ path: String, _ type: FixtureType, shape: [Int], chunk: [Int]? = nil, filters: [Filter] = [],
    configure: (hid_t) -> Void = { _ in }
  ) throws {
    try dataset(path, type, shape: shape, chunk: chunk, filters: filters, configure: configure) { _ in 0 }
  }

  func compound(_ path: String, _ fields: [Field], chunk: [Int]? = nil) throws {
    try HDF5Library.locked {
      let types = fields.map { $0.type.make() }
      defer { types.forEach { H5Tclose($0) } }
      let type = H5Tcreate(H5T_COMPOUND, types.map { H5Tget_size($0) }.reduce(0, +))
      defer { H5Tclose(type) }
      var offset = 0
      for (field, fieldType) in zip(fields, types) {
        H5Tinsert(type, field.name, offset, fieldType)
        offset += H5Tget_size(fieldType)
      }
      let rows = fields[0].rows.count
      let bytes = (0..<rows).flatMap { row in fields.flatMap { $0.rows[row] } }
      try create(path, type, shape: [rows], chunk: chunk, filters: chunk == nil ? [] : [.gzip], configure: { _ in }) {
        Self.writeBytes($0, bytes)
      }
    }
  }

  func group(_ path: String) throws {
    try HDF5Library.locked {
      let group = H5Gcreate2(file, path, intermediateGroups, hdf5DefaultProperties(), hdf5DefaultProperties())
      try #require(group >= 0)
      H5Gclose(group)
    }
  }

  func attribute(_ object: String, _ name: String, text: String, _ type: FixtureType = .variableString()) throws {
    try attribute(object, name, type, shape: []) { Self.writeStrings($0, type, [text], H5Aget_type) }
  }

  func attribute(_ object: String, _ name: String, texts: [String]) throws {
    let type = FixtureType.variableString()
    try attribute(object, name, type, shape: [texts.count]) { Self.writeStrings($0, type, texts, H5Aget_type) }
  }

  func attribute(_ object: String, _ name: String, integers: [Int64]) throws {
    try attribute(object, name, .integer(bytes: 8), shape: [integers.count]) {
      H5Awrite($0, hdf5NativeInt64(), integers)
    }
  }

  func softLink(_ path: String, to target: String) throws {
    try #require(
      HDF5Library.locked { H5Lcreate_soft(target, file, path, intermediateGroups, hdf5DefaultProperties()) } >= 0)
  }

  func externalLink(_ path: String, file other: String, object: String) throws {
    try #require(
      HDF5Library.locked { H5Lcreate_external(other, object, file, path, intermediateGroups, hdf5DefaultProperties()) }
        >= 0)
  }

  func hardLink(_ path: String, to target: String) throws {
    try #require(
      HDF5Library.locked {
        H5Lcreate_hard(file, target, file, path, intermediateGroups, hdf5DefaultProperties())
      } >= 0)
  }

  /// Where the bytes of a chunk lie in the file.
  func chunkAddress(_ path: String, row: Int, column: Int = 0) throws -> (offset: Int, size: Int) {
    try HDF5Library.locked {
      let dataset = H5Dopen2(file, path, hdf5DefaultProperties())
      defer { H5Dclose(dataset) }
      H5Fflush(file, H5F_SCOPE_GLOBAL)
      var mask: UInt32 = 0
      var address: haddr_t = 0
      var size: hsize_t = 0
      let status = H5Dget_chunk_info_by_coord(dataset, [hsize_t(row), hsize_t(column)], &mask, &address, &size)
      try #require(status >= 0 && address != hdf5UndefinedAddress())
      return (Int(address), Int(size))
    }
  }

  // MARK: libhdf5

  private lazy var intermediateGroups: hid_t = {
    let properties = hdf5NewLinkCreation()
    H5Pset_create_intermediate_group(properties, 1)
    return properties
  }()

  private func dataset(
    _ path: String, _ type: FixtureType, shape: [Int], chunk: [Int]? = nil, filters: [Filter] = [],
    configure: (hid_t) -> Void = { _ in }, write: (hid_t) -> herr_t
  ) throws {
    try HDF5Library.locked {
      let type = type.make()
      defer { H5Tclose(type) }
      try create(path, type, shape: shape, chunk: chunk, filters: filters, configure: configure, write: write)
    }
  }

  private func create(
    _ path: String, _ type: hid_t, shape: [Int], chunk: [Int]?, filters: [Filter], configure: (hid_t) -> Void,
    write: (hid_t) -> herr_t
  ) throws {
    let properties = hdf5NewDatasetCreation()
    defer { H5Pclose(properties) }
    if let chunk { H5Pset_chunk(properties, Int32(chunk.count), chunk.map { hsize_t($0) }) }
    for filter in filters {
      switch filter {
      case .gzip: H5Pset_deflate(properties, 4)
      case .shuffle: H5Pset_shuffle(properties)
      case .fletcher32: H5Pset_fletcher32(properties)
      case .plugin(let id): H5Pset_filter(properties, id, 1 /* optional */, 0, nil)
      }
    }
    configure(properties)
    let space = Self.space(shape)
    defer { H5Sclose(space) }
    let dataset = H5Dcreate2(file, path, type, space, intermediateGroups, properties, hdf5DefaultProperties())
    try #require(dataset >= 0)
    let status = write(dataset)
    H5Dclose(dataset)
    try #require(status >= 0)
  }

  private func attribute(
    _ object: String, _ name: String, _ type: FixtureType, shape: [Int], write: (hid_t) -> herr_t
  ) throws {
    try HDF5Library.locked {
      let type = type.make()
      let space = Self.space(shape)
      let owner = H5Oopen(file, object, hdf5DefaultProperties())
      let attribute = H5Acreate2(owner, name, type, space, hdf5DefaultProperties(), hdf5DefaultProperties())
      let status = attribute < 0 ? -1 : write(attribute)
      H5Aclose(attribute)
      H5Oclose(owner)
      H5Sclose(space)
      H5Tclose(type)
      try #require(status >= 0)
    }
  }

  private static func space(_ shape: [Int]) -> hid_t {
    shape.isEmpty ? H5Screate(H5S_SCALAR) : H5Screate_simple(Int32(shape.count), shape.map { hsize_t($0) }, nil)
  }

  /// Elements in the dataset's own type.
  private static func writeBytes(_ dataset: hid_t, _ bytes: [UInt8]) -> herr_t {
    let type = H5Dget_type(dataset)
    defer { H5Tclose(type) }
    return H5Dwrite(dataset, type, hdf5WholeSpace(), hdf5WholeSpace(), hdf5DefaultProperties(), bytes)
  }

  /// To a dataset or, by the type that `getType` finds, an attribute.
  private static func writeStrings(
    _ object: hid_t, _ type: FixtureType, _ values: [String], _ getType: (hid_t) -> hid_t
  ) -> herr_t {
    let stored = getType(object)
    defer { H5Tclose(stored) }
    func write(_ bytes: UnsafeRawPointer?) -> herr_t {
      H5Iget_type(object) == H5I_ATTR
        ? H5Awrite(object, stored, bytes)
        : H5Dwrite(object, stored, hdf5WholeSpace(), hdf5WholeSpace(), hdf5DefaultProperties(), bytes)
    }
    if case .fixedString(let width, _, let spacePadded) = type {
      let bytes = values.flatMap { value in
        Array(value.utf8.prefix(width))
          + [UInt8](repeating: spacePadded ? 32 : 0, count: max(0, width - value.utf8.count))
      }
      return write(bytes)
    }
    let pointers = values.map { strdup($0) }
    defer { pointers.forEach { free($0) } }
    return write(pointers)
  }
}

/// An element's bytes, little-endian.
func bytes(_ value: some BitwiseCopyable) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

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

/// Settings of datasets that need several libhdf5 calls.
enum H5Fixture {
  /// Makes the 2 × 2 dataset to be created with `properties` a view of another file.
  static func makeVirtual(_ properties: hid_t) {
    let space = H5Screate_simple(2, [2, 2], nil)
    H5Pset_virtual(properties, space, "elsewhere.h5", "Y", space)
    H5Sclose(space)
  }
}
