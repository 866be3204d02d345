import Foundation

@testable import Protocol

/// A header put together by hand, so that it can be wrong in one place.
struct Header {
  var magic: [UInt8] = Array("EQTR".utf8)
  var version: UInt16 = 3
  var kind: UInt8
  var tensorCount: UInt8 = 0
  var job = [UInt8](repeating: 7, count: 16)
  /// Type, rank and dimensions of each tensor.
  var descriptors: [UInt8] = []
  var fields: [UInt8] = []

  var data: Data {
    Data(magic + Self.bytes(version) + [kind, tensorCount] + job + descriptors + fields)
  }

  static func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }

  static func descriptor(type: UInt8 = 1, _ dimensions: UInt64...) -> [UInt8] {
    [type, UInt8(dimensions.count)] + dimensions.flatMap { bytes($0) }
  }

  static func index(_ value: UInt64) -> [UInt8] { bytes(value) }
}
