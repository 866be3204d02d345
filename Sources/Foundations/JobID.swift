/// 128 random bits that name a job; chosen by the owner, unguessable, never reused. Every key of the job has it in its label.
package struct JobID: Hashable, Sendable, CustomStringConvertible, Codable {
  package static let byteCount = 16

  /// Always 16.
  package let bytes: [UInt8]

  /// - Parameter bytes: `byteCount` of them.
  package init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// For messages that concern no job.
  package static let none = JobID(bytes: Array(repeating: 0, count: byteCount))

  /// From the system's cryptographic generator (getrandom), as every public name in these programs: no one can guess it, and it need not be
  /// kept secret, so that libsodium's protected memory, which keys are drawn into, is not needed.
  package static func random() -> JobID {
    var generator = SystemRandomNumberGenerator()
    return JobID(bytes: (0..<byteCount).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
  }

  /// 32 lower-case hexadecimal digits, as `description` has them; nil for anything else.
  package init?(hex: String) {
    guard let bytes = [UInt8](hexadecimal: hex), bytes.count == Self.byteCount, bytes.hexadecimal == hex else {
      return nil
    }
    self.init(bytes: bytes)
  }

  /// 32 lower-case hexadecimal digits.
  package var description: String { bytes.hexadecimal }

  package init(from decoder: any Decoder) throws {
    let hex = try decoder.singleValueContainer().decode(String.self)
    guard let id = JobID(hex: hex) else {
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not a job id"))
    }
    self = id
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
