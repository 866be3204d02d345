/// What a message is. Even numbers are the aggregator's, odd ones a site's.
enum MessageKind: UInt8 {
  case opening = 2
  case announcement = 3
  case announcements = 4
  case shares = 5
  case delivery = 6
  case receipt = 7
  case request = 8
  case upload = 9
  case survivors = 10
  case signature = 11
  case signatures = 12
  case given = 13
}

/// In front of every message: kind, version, the charter's digest, the number of the set-up.
enum MessageHeader {
  private static let version: UInt8 = 1

  static func message(
    _ kind: MessageKind, _ roster: SumRoster, setUp: UInt32, _ body: (inout ByteWriter) -> Void
  ) -> [UInt8] {
    ByteWriter.message { writer in
      writer.write(kind.rawValue)
      writer.write(version)
      writer.write(roster.charterDigest)
      writer.write(setUp)
      body(&writer)
    }
  }

  /// - Throws: `.malformed`, `.otherCharter`.
  static func kind(of message: [UInt8]) throws(SumError) -> MessageKind {
    guard let first = message.first, let kind = MessageKind(rawValue: first) else {
      throw .malformed("no message of a sum")
    }
    return kind
  }

  /// The fields behind the header; `body` gets the set-up's number.
  static func read<Value>(
    _ kind: MessageKind, _ message: [UInt8], _ roster: SumRoster,
    _ body: (UInt32, inout ByteReader) throws(SumError) -> Value
  ) throws(SumError) -> Value {
    try ByteReader.read(message) { (reader) throws(SumError) in
      guard try reader.integer(UInt8.self) == kind.rawValue else { throw .malformed("a message of another kind") }
      let version = try reader.integer(UInt8.self)
      guard version == Self.version else {
        throw .malformed("version \(version), this program speaks \(Self.version); install the same release everywhere")
      }
      guard try reader.bytes32() == roster.charterDigest else { throw .otherCharter }
      return try body(try reader.integer(), &reader)
    }
  }
}

/// What is signed or hashed begins with what it is for, so that bytes made for one purpose never serve another.
enum Statement {
  static func bytes(_ purpose: String, _ roster: SumRoster, _ body: (inout ByteWriter) -> Void) -> [UInt8] {
    ByteWriter.message { writer in
      writer.write(text: "secure sums 1: " + purpose)
      writer.write(roster.charterDigest)
      body(&writer)
    }
  }
}
