import Foundation
import Foundations
import Models
import Numerics
import Testing

@testable import Protocol

/// Values that travel as bfloat16 numbers: which do, in how many bytes, and what is refused.
struct NarrowValueTests {
  private let codec = MessageCodec<Float>()

  /// 1 + 2⁻⁸ lies in the middle of two bfloat16 numbers, of which 1 is even; 1 + 3 · 2⁻⁸ in the middle of two others.
  private static let values: [Float] = [1, -2.5, 0x1.01p0, 0x1.03p0, 0x1.018p0, 0x1p-133, 3e38, 0]
  private static let rounded: [Float] = [1, -2.5, 1, 0x1.04p0, 0x1.02p0, 0x1p-133, 0x1.c4p127, 0]

  private static func tensor(_ values: [Float]) -> Tensor<Float> { Tensor(values, shape: [2, 4]) }

  private static func delivery(_ values: [Float]) -> RowDelivery<Float> {
    RowDelivery(
      slots: Tensor([3, 8], shape: [2]), carried: Tensor([1, 1], shape: [2]), values: tensor(values))
  }

  private static func sequences(_ values: [Float]) -> RowDelivery<Float> {
    RowDelivery(
      slots: Tensor([3], shape: [1]), lengths: Tensor([2], shape: [1]), pooled: Tensor([0], shape: [1]),
      values: tensor(values))
  }

  private static func ofOwner(_ values: [Float]) -> [OwnerMessage<Float>] {
    [
      .batch(step: 1, part: 2, rows: delivery(values)), .evaluate(epoch: 1, part: 2, rows: sequences(values)),
      .gradient(step: 1, part: 2, values: tensor(values)), .storeRows(firstSlot: 4, values: tensor(values)),
      .storeSequences(
        firstSlot: 1, lengths: Tensor([2], shape: [1]), pooled: Tensor([1], shape: [1]), values: tensor(values)),
      .question(.ask(number: 1, keyNumber: 2, rows: delivery(values))),
      .question(.extend(session: 1, keyNumber: 2, position: 3, largest: 4, tokens: tensor(values))),
    ]
  }

  private static func ofTrainer(_ values: [Float]) -> [TrainerMessage<Float>] {
    let row = Tensor(values, shape: [1, values.count])
    return [
      .outputs(step: 1, part: 2, values: tensor(values)), .evaluated(epoch: 1, part: 2, values: tensor(values)),
      .deployment(.answered(number: 1, rowsSeen: 2, values: tensor(values))),
      .deployment(
        .extended(session: 1, position: 2, rowsSeen: 3, indices: Tensor(zeros: [0]), values: row)),
    ]
  }

  /// What travels whole: bytes of frames behind the header that are not values.
  private func bytes(_ frames: [Data]) -> Int { frames.dropFirst().reduce(0) { $0 + $1.count } }

  @Test func anOwnersValuesTravelInHalfTheBytesAndAreRoundedToNearestEven() throws {
    for (message, expected) in zip(Self.ofOwner(Self.values), Self.ofOwner(Self.rounded)) {
      let whole = codec.frames(message, job: .none)
      let narrow = codec.frames(message, job: .none, narrowingValues: true)
      #expect(bytes(whole) - bytes(narrow) == 2 * Self.values.count)
      #expect(try codec.ownerMessage(narrow).message == expected)
      #expect(try codec.ownerMessage(whole).message == message)
    }
  }

  @Test func aTrainersValuesDoSoToo() throws {
    for (message, expected) in zip(Self.ofTrainer(Self.values), Self.ofTrainer(Self.rounded)) {
      let whole = codec.frames(message, job: .none)
      let narrow = codec.frames(message, job: .none, narrowingValues: true)
      #expect(bytes(whole) - bytes(narrow) == 2 * Self.values.count)
      #expect(try codec.trainerMessage(narrow).message == expected)
    }
  }

  @Test func everythingElseTravelsAsItIs() {
    let owner: [OwnerMessage<Float>] = [
      .parameters(chunk: 0, values: Self.tensor(Self.values)),
      .storeTargets(firstSlot: 0, targets: .values(Self.tensor(Self.values))),
      .storePlan(firstStep: 0, slots: Tensor([1, 2], shape: [1, 2])), .submit(MessageFixtures.description),
    ]
    for message in owner {
      #expect(codec.frames(message, job: .none, narrowingValues: true) == codec.frames(message, job: .none))
    }
    let weights = TrainerMessage<Float>.parameters(chunk: 0, values: Self.tensor(Self.values))
    #expect(codec.frames(weights, job: .none, narrowingValues: true) == codec.frames(weights, job: .none))
  }

  @Test func notANumberStaysOneAndInfinityToo() throws {
    let message = OwnerMessage<Float>.gradient(
      step: 0, part: 0, values: Tensor([.nan, .infinity, -.infinity], shape: [1, 3]))
    let frames = codec.frames(message, job: .none, narrowingValues: true)
    guard case .gradient(_, _, let values) = try codec.ownerMessage(frames).message else {
      Issue.record("another message came back")
      return
    }
    #expect(values[0].isNaN && values[1] == .infinity && values[2] == -.infinity && !values.allFinite)
  }

  /// A program of version 5 neither sends nor takes them.
  @Test func versionsOfBeforeHaveNone() throws {
    let message = OwnerMessage<Float>.gradient(step: 0, part: 0, values: Self.tensor(Self.values))
    let before = codec.frames(message, job: .none, version: .five, narrowingValues: true)
    #expect(before == codec.frames(message, job: .none, version: .five))
    var claimed = codec.frames(message, job: .none, narrowingValues: true)
    claimed[0][claimed[0].startIndex + 4] = 5
    #expect(throws: WireError.misshapen("output gradient holds bfloat16, not float32")) {
      _ = try codec.ownerMessage(claimed)
    }
  }

  /// Of 4 bfloat16 numbers, where weights, labels or slots are due.
  @Test(arguments: [
    (3 as UInt8, Header.index(0), WireError.misshapen("weights holds bfloat16, not float32")),
    (12, Header.index(0) + Header.index(1), .misshapen("label values holds bfloat16, not float32")),
    (13, Header.index(0), .misshapen("batch slots holds bfloat16, not int32")),
  ])
  func elsewhereTheyAreRefused(_ kind: UInt8, _ fields: [UInt8], _ error: WireError) {
    let header = Header(kind: kind, tensorCount: 1, descriptors: Header.descriptor(type: 6, 2, 2), fields: fields)
    #expect(throws: error) { _ = try codec.ownerMessage([header.data, Data(count: 8)]) }
  }

  /// What they take in memory counts.
  @Test func aFrameOfThemHasAtMostHalfTheBytes() throws {
    let codec = MessageCodec<Float>(limits: WireLimits(tensorBytes: 64, headerBytes: 256))
    func gradient(_ columns: UInt64) -> [Data] {
      let header = Header(
        kind: 6, tensorCount: 1, descriptors: Header.descriptor(type: 6, 1, columns),
        fields: Header.index(0) + Header.index(0))
      return [header.data, Data(count: 2 * Int(columns))]
    }
    _ = try codec.ownerMessage(gradient(16))
    #expect(throws: WireError.oversized(what: "tensor", size: 34, limit: 32)) {
      _ = try codec.ownerMessage(gradient(17))
    }
  }

  @Test func aPrecisionNeedsVersionSix() throws {
    let submit = codec.frames(.submit(MessageFixtures.narrowDescription), job: .none)
    for version in WireVersion.allCases where version < .six && version > .two {
      var claimed = submit
      claimed[0][claimed[0].startIndex + 4] = UInt8(version.rawValue)
      #expect(throws: WireError.precisionTooEarly) { _ = try codec.ownerMessage(claimed) }
    }
    #expect(try codec.ownerMessage(submit).message == .submit(MessageFixtures.narrowDescription))
  }

  /// To the byte what owners of before sent.
  @Test func aJobInFloatsSaysNothingOfIt() throws {
    let text = String(decoding: try JSONEncoder().encode(MessageFixtures.description), as: UTF8.self)
    #expect(!text.contains("precision"))
    #expect(MessageFixtures.description.precision == .float32 && !MessageFixtures.description.needsVersion6)
    let narrow = String(decoding: try JSONEncoder().encode(MessageFixtures.narrowDescription), as: UTF8.self)
    #expect(narrow.contains(#""precision":"bfloat16""#))
  }

  @Test func samplesAreNotClippedInThem() {
    var description = JobDescription(
      purpose: .training, graph: MessageFixtures.graph, optimizer: MessageFixtures.privateDescription.optimizer,
      schedule: MessageFixtures.description.schedule, lossLocation: .owner, task: nil, epochs: 3, stepsPerEpoch: 5,
      batch: 6, microBatch: 2, keep: .last, checkpointEverySteps: 9, trainingRows: 20, validationRows: 8,
      privacy: MessageFixtures.privateDescription.privacy, precision: .bfloat16)
    #expect(
      throws: WireError.invalidJob("samples are not clipped by norms of bfloat16 numbers; use float32 or bfloat16x3")
    ) { try description.validate() }
    description.privacy = nil
    description.stepsPerEpoch = 4
    #expect(throws: Never.self) { try description.validate() }
  }

  @Test func whatMultipliesIsToldFromVersionSixOn() throws {
    let message = TrainerMessage<Float>.attached(step: 1, residentRows: 2, window: 3, kernel: "AMX, OpenBLAS SkylakeX")
    let before = codec.frames(message, job: .none, version: .five)
    #expect(before[0].count == 24 + 3 * 8)
    #expect(try codec.trainerMessage(before).message == .attached(step: 1, residentRows: 2, window: 3))
    #expect(try codec.trainerMessage(codec.frames(message, job: .none)).message == message)
    var status = JobStatus(state: .running, step: 9, totalSteps: 10, queuePosition: 0, storedBytes: 0)
    status.kernels = [KernelUse(step: 0, kernel: "OpenBLAS Haswell"), KernelUse(step: 4, kernel: "OpenBLAS Zen")]
    let told = TrainerMessage<Float>.status(status)
    #expect(try codec.trainerMessage(codec.frames(told, job: .none)).message == told)
  }
}
