import Foundation
import Tensors
import Testing

@testable import Checkpoints

@Suite struct TrainingCheckpointTests {
  private static let digest = "00ff"

  /// Values whose bits a conversion or a sum would not keep: −0, the smallest subnormal, a NaN with a payload.
  private func checkpoint<Element: TensorElement>(
    step: Int = 12, _ values: [Element], best: Bool = true
  ) -> TrainingCheckpoint<Element> {
    let weights = Tensor(values, shape: [2, values.count / 2])
    let bias = Tensor(values.prefix(2), shape: [2])
    let parameters = NamedTensors([("layers.2.weight", weights), ("layers.0.weight", bias)])
    return TrainingCheckpoint(
      step: step, jobDigest: Self.digest, parameters: parameters,
      optimizerState: NamedTensors([("momentum.layers.2.weight", weights)]),
      best: best ? parameters : nil, bestEpoch: best ? 3 : nil, bestMetric: best ? 0.1 + 0.2 : nil)
  }

  private static let floats: [Float] = [-0.0, Float.leastNonzeroMagnitude, 1 / 3, .infinity, -1.5, 3e38]

  private func read<Element: TensorElement>(
    _ path: String, like original: TrainingCheckpoint<Element>, digest: String = digest
  ) throws -> TrainingCheckpoint<Element> {
    try TrainingCheckpoint<Element>.read(
      from: path, jobDigest: digest, parameters: original.parameters.descriptions,
      optimizerState: original.optimizerState.descriptions)
  }

  private func bits(_ tensors: NamedTensors<Float>) -> [UInt32] {
    tensors.flatMap { $0.tensor.elements.map(\.bitPattern) }
  }

  @Test(arguments: [true, false]) func everythingComesBackBitForBit(best: Bool) throws {
    let directory = try TemporaryDirectory()
    let original = checkpoint(Self.floats, best: best)
    try original.write(to: directory.file("c"))
    let copy = try read(directory.file("c"), like: original)
    #expect(copy == original)
    #expect(copy.parameters.names == ["layers.2.weight", "layers.0.weight"])
    #expect(bits(copy.parameters) == bits(original.parameters))
    #expect(try directory.permissions("c") == 0o600)
  }

  @Test func notANumberKeepsItsBits() throws {
    let directory = try TemporaryDirectory()
    let payload = Float(bitPattern: 0x7FC0_1234)
    let original = checkpoint([payload, 1], best: false)
    try original.write(to: directory.file("c"))
    #expect(bits(try read(directory.file("c"), like: original).parameters) == bits(original.parameters))
  }

  @Test func doublesComeBackToo() throws {
    let directory = try TemporaryDirectory()
    let original = checkpoint([0.1, Double.leastNonzeroMagnitude])
    try original.write(to: directory.file("c"))
    #expect(try read(directory.file("c"), like: original) == original)
  }

  private func problem(
    _ directory: TemporaryDirectory, digest: String = digest,
    expecting original: TrainingCheckpoint<Float>
  ) -> TrainingCheckpointProblem? {
    do {
      _ = try read(directory.file("c"), like: original, digest: digest)
      return nil
    } catch CheckpointError.checkpoint(_, let problem) {
      return problem
    } catch {
      return nil
    }
  }

  @Test func aCheckpointOfAnotherJob() throws {
    let directory = try TemporaryDirectory()
    let original = checkpoint(Self.floats)
    try original.write(to: directory.file("c"))
    #expect(problem(directory, digest: "00fe", expecting: original) == .otherJob)
  }

  @Test func aCheckpointOfAnotherModel() throws {
    let directory = try TemporaryDirectory()
    let original = checkpoint(Self.floats)
    try original.write(to: directory.file("c"))
    var wider = original
    wider.parameters["layers.0.weight"] = Tensor(zeros: [3])
    #expect(
      problem(directory, expecting: wider) == .shape(name: "layers.0.weight", expected: [3], found: [2]))
    var more = original
    more.parameters["layers.4.weight"] = Tensor(zeros: [3])
    #expect(problem(directory, expecting: more) == .missingTensor("layers.4.weight"))
    var fewer = original
    fewer.optimizerState["momentum.layers.2.weight"] = nil
    #expect(problem(directory, expecting: fewer) == .unexpectedTensor("optimizer.momentum.layers.2.weight"))
  }

  @Test func aCheckpointOfAnotherPrecision() throws {
    let directory = try TemporaryDirectory()
    try checkpoint([0.5, 1.0] as [Double]).write(to: directory.file("c"))
    #expect(throws: CheckpointError.self) { try read(directory.file("c"), like: checkpoint([0.5, 1] as [Float])) }
  }

  @Test func aSafetensorsFileThatIsNoCheckpoint() throws {
    let directory = try TemporaryDirectory()
    try SafetensorsFile.write([SafetensorsTensor("w", Tensor<Float>(zeros: [1]))], to: directory.file("c"))
    #expect(problem(directory, expecting: checkpoint(Self.floats)) == .notACheckpoint)
  }

  /// Writes the checkpoint's file anew with other metadata.
  private func rewrite(_ key: String, _ text: String?, _ directory: TemporaryDirectory) throws {
    let file = try SafetensorsFile(path: directory.file("c"))
    var metadata = file.header.metadata
    metadata[key] = text
    let tensors = try file.tensors(as: Float.self).map { SafetensorsTensor($0.name, $0.tensor) }
    try SafetensorsFile.write(tensors, metadata: metadata, to: directory.file("c"))
  }

  @Test(
    arguments: [
      ("version", "2", TrainingCheckpointProblem.unsupportedVersion("2")),
      ("step", "-1", .malformedMetadata(key: "step")), ("step", "x", .malformedMetadata(key: "step")),
      ("step", nil, .malformedMetadata(key: "step")), ("best_epoch", "1.5", .malformedMetadata(key: "best_epoch")),
      ("best_metric", "good", .malformedMetadata(key: "best_metric")),
      ("has_best", nil, .malformedMetadata(key: "has_best")),
      ("has_best", "false", .unexpectedTensor("best.layers.0.weight")),
      ("step", "13", .damaged), ("xxh64", nil, .damaged),
    ] as [(String, String?, TrainingCheckpointProblem)])
  func metadataThatWasChanged(key: String, text: String?, expected: TrainingCheckpointProblem) throws {
    let directory = try TemporaryDirectory()
    let original = checkpoint(Self.floats)
    try original.write(to: directory.file("c"))
    try rewrite(key, text, directory)
    let found = problem(directory, expecting: original)
    if case .unexpectedTensor(let name)? = found, case .unexpectedTensor = expected {
      #expect(name.hasPrefix("best."))
    } else {
      #expect(found == expected)
    }
  }

  @Test func everyFlippedBitOfTheFileIsNoticed() throws {
    let directory = try TemporaryDirectory()
    let original = checkpoint(Self.floats)
    try original.write(to: directory.file("c"))
    let whole = try #require(directory.contents("c"))
    for place in whole.indices {
      var damaged = whole
      damaged[place] ^= 1 << (place % 8)
      try damaged.write(to: URL(fileURLWithPath: directory.file("c")))
      #expect(throws: CheckpointError.self, "byte \(place)") { try read(directory.file("c"), like: original) }
    }
  }

  @Test func aTruncatedCheckpointIsRefusedAtEveryLength() throws {
    let directory = try TemporaryDirectory()
    let original = checkpoint(Self.floats)
    try original.write(to: directory.file("c"))
    let whole = try #require(directory.contents("c"))
    for length in whole.indices {
      try whole.prefix(length).write(to: URL(fileURLWithPath: directory.file("c")))
      #expect(throws: CheckpointError.self) { try read(directory.file("c"), like: original) }
    }
  }

  @Test func namesThatWouldCollideAreNotWritten() throws {
    let directory = try TemporaryDirectory()
    for name in ["optimizer.x", "best.x", "__metadata__"] {
      var original = checkpoint(Self.floats)
      original.parameters[name] = Tensor(zeros: [1])
      #expect(throws: CheckpointError.checkpoint(path: directory.file("c"), .reservedName(name))) {
        try original.write(to: directory.file("c"))
      }
    }
    #expect(throws: CheckpointError.checkpoint(path: directory.file("c"), .negativeStep)) {
      try checkpoint(step: -1, Self.floats).write(to: directory.file("c"))
    }
    #expect(try directory.names().isEmpty)
  }

  @Test func aStoreKeepsOneFileAStep() throws {
    let directory = try TemporaryDirectory()
    let store = try CheckpointStore(directory: directory.file("a/b/store"))
    for step in [200, 100, 1_234_567_890_123] { try store.save(checkpoint(step: step, Self.floats)) }
    try store.save(checkpoint(step: 100, Self.floats))
    #expect(try store.steps() == [100, 200, 1_234_567_890_123])
    #expect(store.path(123).hasSuffix("/checkpoint-000000123.safetensors"))
    let original = checkpoint(step: 200, Self.floats)
    let loaded: TrainingCheckpoint<Float> = try store.load(
      step: 200, jobDigest: Self.digest, parameters: original.parameters.descriptions,
      optimizerState: original.optimizerState.descriptions)
    #expect(loaded == original)
    try store.removeAll(before: 200)
    #expect(try store.steps() == [200, 1_234_567_890_123])
  }

  @Test func aStorePassesOverOtherFilesAndRemovesLeftovers() throws {
    let directory = try TemporaryDirectory()
    for name in [
      "checkpoint-12.safetensors", "checkpoint-0000000012.safetensors", "checkpoint-00000001x.safetensors", "notes",
      ".writing-0123456789abcdef", "checkpoint-99999999999999999999.safetensors",
    ] {
      try Data().write(to: URL(fileURLWithPath: directory.file(name)))
    }
    let store = try CheckpointStore(directory: directory.path)
    #expect(try store.steps().isEmpty)
    #expect(try directory.names().count == 5)
  }

  @Test func aStepThatIsNotThereOrUnderAnotherName() throws {
    let directory = try TemporaryDirectory()
    let store = try CheckpointStore(directory: directory.path)
    let original = checkpoint(step: 5, Self.floats)
    try original.write(to: store.path(6))
    for step in [5, 6] {
      #expect(throws: CheckpointError.checkpoint(path: store.path(step), .noSuchStep(step))) {
        try store.load(
          step: step, as: Float.self, jobDigest: Self.digest, parameters: original.parameters.descriptions,
          optimizerState: original.optimizerState.descriptions)
      }
    }
  }

  @Test func aStoreWhereAFileIsInTheWay() throws {
    let directory = try TemporaryDirectory()
    try Data().write(to: URL(fileURLWithPath: directory.file("store")))
    #expect(throws: CheckpointError.self) { try CheckpointStore(directory: directory.file("store")) }
    #expect(throws: CheckpointError.self) { try CheckpointStore(directory: directory.file("store/below")) }
  }
}
