import Models
import Files
import Foundations
import Foundation
import Numerics
import Testing
import TestSupport
import Training
import Protocol

/// Weights that are not trained: stored once, read with every checkpoint, never sent back.
@Suite(.waiting, .timeLimit(.minutes(10))) struct FrozenWeightTests {
  private let stage: SequenceStage
  private let job = SequenceJob().changing {
    $0.trained = .lora(LowRankAdaptation(rank: 2, alpha: 2, targets: ["query", "value"]))
    $0.keep = .best
    $0.checkpointEverySteps = 1
  }

  init() throws {
    stage = try SequenceStage()
  }

  private func bytes(_ isTrained: Bool) throws -> Int {
    try job.specifications.filter { $0.isTrained == isTrained }.reduce(0) { $0 + 4 * $1.shape.reduce(1, *) }
  }

  private func finish(_ owner: RawOwner<Float>) throws {
    try owner.send(.finish)
    _ = try owner.wait { message in
      if case .finished = message { return true }
      return nil as Bool?
    }
  }

  @Test func frozenWeightsAreStoredOnce() throws {
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    let owner = stage.owner()
    try job.begin(owner)
    for step in 0..<2 { try job.step(owner, step) }
    try owner.send(.keep(epoch: 0))
    for step in 2..<4 { try job.step(owner, step) }
    try finish(owner)
    let files = try stage.files
    #expect(files.contains("frozen.safetensors"))
    #expect(files.contains("best-000000002.safetensors"))
    #expect(files.count { $0.hasPrefix("checkpoint-") } == 5)
    let (trained, frozen) = (try bytes(true), try bytes(false))
    #expect(frozen > trained)
    // Each a header of names and offsets, below 200 bytes a tensor.
    let header = 500 + 200 * (try job.specifications.count)
    for file in files where file.hasSuffix(".safetensors") {
      let size = try #require(stage.size(file))
      let content =
        switch file {
        case "frozen.safetensors": frozen
        case "checkpoint-000000000.safetensors", "best-000000002.safetensors": trained
        // With momentum.
        default: 2 * trained
        }
      #expect((content...content + 2 * header).contains(size), "\(file)")
      let tensors = try SafetensorsFile(path: stage.folder.appending(path: file).path)
      #expect(
        tensors.header.entries.reduce(0) { $0 + $1.end - $1.begin } == content, "\(file)")
    }
    // The best weights come back: those after two steps, the trained ones alone.
    let engine = try job.engine()
    for _ in 0..<2 { try job.step(engine) }
    #expect(try job.retrieve(owner) == job.trainedParameters(engine))
    let more = try job.specifications.count(where: \.isTrained)
    #expect(try owner.refusal(of: .retrieve(chunk: more)).reason.contains("weight chunk \(more) of \(more)"))
  }

  @Test func uploadedWeightsAreOnDiskBeforeTheLastChunk() throws {
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    let owner = stage.owner()
    try owner.send(.submit(job.description))
    let parameters = try job.parameters
    for (chunk, tensor) in parameters.dropLast().enumerated() {
      try owner.send(.parameters(chunk: chunk, values: tensor))
      _ = try owner.wait { message in
        if case .stored(chunk + 1) = message { return true }
        return nil as Bool?
      }
    }
    let pending = try stage.files.filter { $0.hasPrefix(".writing-") }
    #expect(pending.count == 2)
    let written = pending.compactMap { stage.size($0) }.reduce(0, +)
    #expect(written >= parameters.dropLast().reduce(0) { $0 + $1.byteCount })
    #expect(try !stage.files.contains { $0.hasSuffix(".safetensors") })
    try owner.send(.parameters(chunk: parameters.count - 1, values: try #require(parameters.last)))
    _ = try owner.wait { message in
      if case .stored(parameters.count) = message { return true }
      return nil as Bool?
    }
    #expect(
      try stage.files.filter { $0 != "job.json" } == ["checkpoint-000000000.safetensors", "frozen.safetensors"])
  }

  @Test func aBrokenUploadLeavesNothing() throws {
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    let owner = stage.owner()
    try owner.send(.submit(job.description))
    let parameters = try job.parameters
    for chunk in 0..<3 { try owner.send(.parameters(chunk: chunk, values: parameters[chunk])) }
    let refusal = try owner.refusal(of: .parameters(chunk: 5, values: parameters[5]))
    #expect(refusal.reason.contains("weight chunk 5 where 3 of"))
    // Its files are removed when the disk's thread releases the upload, which may be just after the refusal is sent.
    let deadline = ContinuousClock.now + .seconds(120)
    while try stage.files != ["job.json"], ContinuousClock.now < deadline { Thread.sleep(forTimeInterval: 0.01) }
    #expect(try stage.files == ["job.json"])
    #expect(try owner.refusal(of: .parameters(chunk: 3, values: parameters[3])).reason.contains("out of order"))
    // A new proposal starts the upload over.
    try job.begin(owner)
    try job.step(owner, 0)
  }

  private func stopped() throws {
    let trainer = stage.trainer()
    let owner = stage.owner()
    try job.begin(owner)
    try job.step(owner, 0)
    trainer.shutDown()
  }

  private func attachRefusal() throws -> RawOwner<Float>.Refusal {
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    return try stage.owner().refusal(of: .attach(historySteps: 1))
  }

  @Test func damagedFrozenWeightsAreRefused() throws {
    try stopped()
    let file = stage.folder.appending(path: "frozen.safetensors")
    var bytes = try Data(contentsOf: file)
    bytes[bytes.count - 3] ^= 1
    try bytes.write(to: file)
    let refusal = try attachRefusal()
    #expect(refusal.kind == .refused && refusal.reason.contains("changed after it was written"))
  }

  /// A number that cannot be is damage, and is called so.
  @Test(arguments: ["frozen.safetensors", "checkpoint-000000001.safetensors"])
  func aFlippedExponentIsDamage(_ name: String) throws {
    try stopped()
    let file = stage.folder.appending(path: name)
    var bytes = try Data(contentsOf: file)
    bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: [0, 0, 0x80, 0x7F])
    try bytes.write(to: file)
    #expect(try attachRefusal().reason.contains("changed after it was written"))
  }

  @Test func missingFrozenWeightsAreRefused() throws {
    try stopped()
    try FileManager.default.removeItem(at: stage.folder.appending(path: "frozen.safetensors"))
    let refusal = try attachRefusal()
    #expect(refusal.kind == .refused && refusal.reason.contains("frozen.safetensors"))
  }

  /// Whole, of this job, and yet not those that the checkpoint was trained with.
  @Test func otherFrozenWeightsAreRefused() throws {
    try stopped()
    let tensors = CheckpointTensors(try job.specifications, statePrefixes: [])
    let store = try CheckpointStore(directory: stage.folder.path)
    let writer: CheckpointWriter<Float> = try store.write(
      CheckpointRecord(content: .frozen, step: 0, jobDigest: stage.id.description), tensors: tensors)
    for tensor in tensors.descriptions(.frozen, step: 0) { try writer.append(Tensor(zeros: tensor.shape)) }
    try writer.finish()
    #expect(try attachRefusal().reason.contains("was trained with other frozen weights"))
  }

  @Test func aDamagedResultIsNotSent() throws {
    let first = stage.trainer()
    let owner = stage.owner()
    try job.begin(owner)
    for step in 0..<4 { try job.step(owner, step) }
    try owner.send(.keep(epoch: 1))
    try finish(owner)
    first.shutDown()
    let file = stage.folder.appending(path: "best-000000004.safetensors")
    var bytes = try Data(contentsOf: file)
    bytes[bytes.count - 3] ^= 1
    try bytes.write(to: file)
    let second = stage.trainer()
    defer { second.shutDown() }
    let refusal = try stage.owner().refusal(of: .retrieve(chunk: 0))
    #expect(refusal.kind == .refused && refusal.reason.contains("changed after it was written"))
  }
}
