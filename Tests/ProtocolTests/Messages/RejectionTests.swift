import Foundation
import Foundations
import Numerics
import Testing

@testable import Protocol

/// What is not exactly one message is refused, and why is told. Kinds used: 4 attach, 6 gradient, 1 hello.
struct RejectionTests {
  private let codec = MessageCodec<Float>(limits: WireLimits(tensorBytes: 64, headerBytes: 256))

  private func reject(_ frames: [Data], _ expected: WireError, _ location: SourceLocation = #_sourceLocation) {
    #expect(throws: expected, sourceLocation: location) { _ = try codec.ownerMessage(frames) }
  }

  private func attach(_ change: (inout Header) -> Void = { _ in }) -> Data {
    var header = Header(kind: 4, fields: Header.index(3))
    change(&header)
    return header.data
  }

  /// A gradient message with one tensor, as its header and its frame would be.
  private func gradient(_ descriptor: [UInt8], frame: Int) -> [Data] {
    let header = Header(kind: 6, tensorCount: 1, descriptors: descriptor, fields: Header.index(0) + Header.index(0))
    return [header.data, Data(count: frame)]
  }

  @Test func theHandMadeHeaderIsOtherwiseGood() throws {
    #expect(try codec.ownerMessage([attach()]).message == .attach(historySteps: 3))
    _ = try codec.ownerMessage(gradient(Header.descriptor(2, 3), frame: 24))
  }

  @Test func noFrames() { reject([], .malformed("no frames")) }

  @Test func badMagic() {
    reject([attach { $0.magic = Array("HTTP".utf8) }], .malformed("not of this protocol"))
  }

  @Test func wrongVersion() {
    reject([attach { $0.version = 1 }], .version(theirs: 1))
    reject([attach { $0.version = 7 }], .version(theirs: 7))
    reject([attach { $0.version = 0x0200 }], .version(theirs: 512))
  }

  @Test(arguments: [WireVersion.two, .three, .four, .five]) func versionsOfBeforeAreReadAndAnsweredInThem(
    _ version: WireVersion
  ) throws {
    let message = [attach { $0.version = version.rawValue }]
    #expect(try codec.ownerMessage(message).message == .attach(historySteps: 3))
    #expect(WireVersion(of: message) == version && WireVersion(of: [attach()]) == .six)
    #expect(WireVersion(of: [attach { $0.version = 9 }]) == nil && WireVersion(of: [Data("EQTR".utf8)]) == nil)
    let answer = codec.frames(.pong, job: .none, version: version)
    #expect(Array(answer[0].prefix(6)) == Array("EQTR".utf8) + [UInt8(version.rawValue), 0])
    #expect(try codec.trainerMessage(answer).message == .pong)
  }

  @Test(arguments: [0, 33, 100, 101, 117, 255] as [UInt8])
  func unknownKindFromAnOwner(_ kind: UInt8) {
    reject([Header(kind: kind).data], .malformed("an unknown kind of message"))
  }

  @Test(arguments: [0, 1, 22, 100, 125, 255] as [UInt8])
  func unknownKindFromATrainer(_ kind: UInt8) {
    #expect(throws: WireError.malformed("an unknown kind of message")) {
      _ = try codec.trainerMessage([Header(kind: kind).data])
    }
  }

  @Test(arguments: 0..<32)
  func truncatedHeader(_ length: Int) {
    reject([attach().prefix(length)], .malformed("the header ends early"))
  }

  @Test func headerThatEndsWithinADescriptor() {
    let header = Header(kind: 6, tensorCount: 1, descriptors: [1, 2, 1, 0]).data
    reject([header, Data()], .malformed("the header ends early"))
  }

  @Test func truncatedTensorFrame() {
    reject(
      gradient(Header.descriptor(2, 3), frame: 23),
      .malformed("a tensor frame of 23 bytes where its shape takes 24"))
  }

  @Test func tensorFrameWithBytesLeftOver() {
    reject(
      gradient(Header.descriptor(2, 3), frame: 25),
      .malformed("a tensor frame of 25 bytes where its shape takes 24"))
  }

  @Test func oversizedTensor() {
    reject(gradient(Header.descriptor(1, 17), frame: 68), .oversized(what: "tensor", size: 68, limit: 64))
  }

  @Test func oversizedHeader() {
    reject(
      [attach { $0.fields += [UInt8](repeating: 0, count: 300) }],
      .oversized(what: "header frame", size: 332, limit: 256))
  }

  @Test(arguments: [[1 << 62, 4], [1 << 62, 1 << 62], [0, 1 << 62, 1 << 62]] as [[UInt64]])
  func shapeThatOverflows(_ dimensions: [UInt64]) {
    let descriptor: [UInt8] = [1, UInt8(dimensions.count)] + dimensions.flatMap { Header.bytes($0) }
    reject(gradient(descriptor, frame: 0), .malformed("a tensor shape that overflows"))
  }

  @Test func dimensionThatIsNoIndex() {
    reject(gradient(Header.descriptor(1 << 63, 1), frame: 0), .malformed("an index out of range"))
  }

  @Test func tooManyDimensions() {
    reject(gradient(Header.descriptor(1, 1, 1, 1, 1), frame: 4), .oversized(what: "tensor rank", size: 5, limit: 4))
  }

  @Test func unknownElementType() {
    reject(gradient(Header.descriptor(type: 7, 1, 1), frame: 4), .malformed("an unknown element type"))
  }

  @Test func tooManyTensors() {
    let header = Header(
      kind: 6, tensorCount: 9, descriptors: (0..<9).flatMap { _ in Header.descriptor(1) },
      fields: Header.index(0) + Header.index(0))
    reject([header.data] + (0..<9).map { _ in Data(count: 4) }, .oversized(what: "tensor count", size: 9, limit: 8))
  }

  @Test func extraFrames() {
    reject([attach(), Data()], .malformed("1 tensor frames where the header states 0"))
  }

  @Test func missingFrames() {
    let frames = gradient(Header.descriptor(1, 1), frame: 4)
    reject([frames[0]], .malformed("0 tensor frames where the header states 1"))
  }

  @Test func tensorThatItsKindDoesNotHave() {
    let header = attach {
      $0.tensorCount = 1
      $0.descriptors = Header.descriptor(1)
    }
    reject([header, Data(count: 4)], .malformed("more content than its kind has"))
  }

  @Test func tensorThatIsMissing() {
    let header = Header(kind: 6, fields: Header.index(0) + Header.index(0))
    reject([header.data], .malformed("output gradient is missing"))
  }

  @Test func leftoverBytes() {
    reject([attach { $0.fields.append(0) }], .malformed("more content than its kind has"))
  }

  @Test func otherElementType() {
    reject(
      gradient(Header.descriptor(type: 2, 1, 1), frame: 8), .misshapen("output gradient holds float64, not float32"))
  }

  @Test func otherRank() {
    reject(gradient(Header.descriptor(3), frame: 12), .misshapen("output gradient has 1 dimensions"))
  }

  @Test func indexOutOfRange() {
    reject([attach { $0.fields = Header.index(1 << 62 + 1) }], .malformed("an index out of range"))
    reject([attach { $0.fields = Header.index(.max) }], .malformed("an index out of range"))
  }

  @Test func textThatIsNotUTF8() {
    let header = Header(kind: 1, fields: Header.bytes(UInt32(2)) + [0xC3, 0x28])
    reject([header.data], .malformed("text that is not UTF-8"))
  }

  @Test func textLongerThanTheHeader() {
    let header = Header(kind: 1, fields: Header.bytes(UInt32.max) + [0x41])
    reject([header.data], .malformed("the header ends early"))
  }

  @Test(arguments: ["", "{", "{}", "[]", "null", "{\"purpose\":\"training\"}", "\u{FEFF}"])
  func jsonThatIsNotTheType(_ text: String) {
    reject([Header(kind: 2, fields: Array(text.utf8)).data], .malformed("job description cannot be read"))
  }

  /// A choice that another version has: of an optimizer, an activation, a schedule.
  @Test(arguments: [
    (#""kind":"muon""#, #""kind":"another""#, "optimizer.kind"),
    (#""decay":"cosine""#, #""decay":"steps""#, "schedule.decay"),
  ])
  func aKindThatIsNotKnownHere(_ known: String, _ unknown: String, _ field: String) throws {
    let codec = MessageCodec<Float>()
    let frame = try #require(codec.frames(.submit(MessageFixtures.description), job: .none).first)
    let text = try #require(String(bytes: frame.drop { $0 != UInt8(ascii: "{") }, encoding: .utf8))
    #expect(text.contains(known))
    let header = Header(kind: 2, fields: Array(text.replacing(known, with: unknown).utf8))
    #expect(
      throws: WireError.malformed("job description cannot be read: this program does not know the value of `\(field)`")
    ) { _ = try codec.ownerMessage([header.data]) }
  }

  @Test func jsonNestedTooDeeply() {
    let codec = MessageCodec<Float>()
    let header = Header(kind: 2, fields: [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000))
    #expect(throws: WireError.malformed("job description cannot be read")) {
      _ = try codec.ownerMessage([header.data])
    }
  }

  @Test func unknownFailureCode() {
    let header = Header(kind: 103, fields: Header.index(1) + Header.bytes(UInt32(0)))
    #expect(throws: WireError.malformed("an unknown failure code")) { _ = try codec.trainerMessage([header.data]) }
  }

  @Test func unknownKindOfLabels() {
    let header = Header(kind: 12, fields: Header.index(0) + Header.index(2))
    reject([header.data], .malformed("an unknown kind of labels"))
  }
}

/// Slots, flags and rows of one delivery must fit each other.
struct RowDeliveryTests {
  private func receive(slots: [Int32], carried: [UInt8], rows: Int) throws {
    let codec = MessageCodec<Float>()
    let delivery = RowDelivery<Float>(
      slots: Tensor(slots, shape: [slots.count]), carried: Tensor(carried, shape: [carried.count]),
      values: Tensor(repeating: 1, shape: [rows, 2]))
    _ = try codec.ownerMessage(codec.frames(.batch(step: 0, part: 0, rows: delivery), job: .none))
  }

  @Test func flagsThatFitAreTaken() throws {
    try receive(slots: [0, 1, 2], carried: [1, 0, 1], rows: 2)
  }

  @Test func fewerFlagsThanSlots() {
    #expect(throws: WireError.misshapen("carried flags do not match the slots")) {
      try receive(slots: [0, 1], carried: [1], rows: 1)
    }
  }

  @Test func flagOtherThanZeroOrOne() {
    #expect(throws: WireError.malformed("a carried flag other than 0 or 1")) {
      try receive(slots: [0], carried: [2], rows: 1)
    }
  }

  @Test(arguments: [0, 2])
  func otherNumberOfRowsThanFlags(_ rows: Int) {
    #expect(throws: WireError.misshapen("as many rows as carried flags are due")) {
      try receive(slots: [0, 1], carried: [1, 0], rows: rows)
    }
  }
}
