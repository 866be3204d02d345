import Foundation
package import Foundations

/// Takes little-endian fields off a header frame, each checked against what is left.
package struct WireReader {
  private var rest: Data.SubSequence

  init(_ data: Data) {
    rest = data[...]
  }

  var isAtEnd: Bool { rest.isEmpty }

  package mutating func read<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(WireError) -> Number {
    var number: Number = 0
    for (position, byte) in try take(MemoryLayout<Number>.size).enumerated() {
      number |= Number(truncatingIfNeeded: UInt64(byte)) << (8 * position)
    }
    return number
  }

  package mutating func readDouble() throws(WireError) -> Double {
    Double(bitPattern: try read(UInt64.self))
  }

  /// A 64-bit count or index, 0 … 2^62, so that adding two of them cannot overflow.
  package mutating func readIndex() throws(WireError) -> Int {
    let value = try read(UInt64.self)
    guard let index = Int(exactly: value), index <= 1 << 62 else {
      throw .malformed("an index out of range")
    }
    return index
  }

  /// Text in its printable form, at most `limit` characters.
  package mutating func readText(limit: Int) throws(WireError) -> String {
    let bytes = try take(Int(try read(UInt32.self)))
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .malformed("text that is not UTF-8") }
    return text.printable(limit: limit)
  }

  mutating func take(_ count: Int) throws(WireError) -> Data {
    guard count >= 0, rest.count >= count else { throw .malformed("the header ends early") }
    let taken = rest.prefix(count)
    rest = rest.dropFirst(count)
    return taken
  }

  /// Everything that is left.
  mutating func takeRest() -> Data {
    defer { rest = rest.suffix(0) }
    return rest
  }
}

/// Appends little-endian fields to a header frame.
package struct WireWriter {
  private(set) var data = Data()

  package mutating func write<Number: FixedWidthInteger>(_ number: Number) {
    withUnsafeBytes(of: number.littleEndian) { data.append(contentsOf: $0) }
  }

  package mutating func write(_ number: Double) {
    write(number.bitPattern)
  }

  mutating func write(_ bytes: some Collection<UInt8>) {
    data.append(contentsOf: bytes)
  }

  /// UTF-8 with a 32-bit length in front.
  package mutating func write(text: String) {
    let utf8 = Array(text.utf8)
    write(UInt32(clamping: utf8.count))
    write(utf8)
  }
}

/// Caps that a parser applies before it allocates anything.
package struct WireLimits: Sendable, Equatable {
  /// Bytes of one tensor frame.
  package var tensorBytes: Int
  /// Bytes of a header frame, JSON body included.
  package var headerBytes: Int

  /// Characters of a reason, and of a name (of a program, a kernel, a metric), in their printable form.
  static let reasonLength = 2000
  static let nameLength = 80

  package init(tensorBytes: Int = 64 << 20, headerBytes: Int = 1 << 20) {
    self.tensorBytes = tensorBytes
    self.headerBytes = headerBytes
  }
}

/// What is wrong with a message or with a job as it came over the wire. Never holds values of a tensor.
package enum WireError: Failure, Equatable {
  /// Not of this protocol: bad magic, unknown kind, cut short, or with bytes left over.
  case malformed(String)
  /// The peer speaks another version.
  case version(theirs: Int)
  /// A size over the limits in force.
  case oversized(what: String, size: Int, limit: Int)
  /// A tensor of another type or shape than the message or the job needs.
  case misshapen(String)
  /// A number that cannot be: NaN or infinity.
  case notFinite(String)
  /// A well-formed message that does not fit the state of the job.
  case outOfOrder(String)
  /// A job description outside the documented ranges.
  case invalidJob(String)

  /// Of a job with private steps from an owner of a version that knows none.
  static var privateStepsTooEarly: WireError { .invalidJob("private steps need wire version 4") }

  /// Of a model to host from an owner of a version that knows no deployments.
  static var hostingTooEarly: WireError { .invalidJob("hosting a model needs wire version 5") }

  /// Of a job that corrects steps, or continues a schedule, from an owner of a version that knows neither.
  static var correctedStepsTooEarly: WireError {
    .invalidJob("corrected steps and schedules over several jobs need wire version 5")
  }

  /// Of a job that computes in other numbers than floats from an owner of a version that knows none.
  static var precisionTooEarly: WireError {
    .invalidJob("a precision other than float32 needs wire version 6")
  }

  package var kind: FailureKind {
    switch self {
    case .version: .refused
    case .malformed, .oversized, .misshapen, .notFinite, .outOfOrder, .invalidJob: .refused
    }
  }

  package var description: String {
    switch self {
    case .malformed(let what): "malformed message: \(what)"
    case .version(let theirs):
      "the peer speaks wire version \(theirs), this program speaks \(WireVersion.oldest.rawValue) to "
        + "\(WireVersion.current.rawValue); install the same release on both sides"
    case .oversized(let what, let size, let limit): "\(what) of \(size) exceeds the limit of \(limit)"
    case .misshapen(let what): "misshapen tensor: \(what)"
    case .notFinite(let what): "\(what) holds NaN or infinity"
    case .outOfOrder(let what): "message out of order: \(what)"
    case .invalidJob(let what): "invalid job: \(what)"
    }
  }
}
