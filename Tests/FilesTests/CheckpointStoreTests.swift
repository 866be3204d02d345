import Models
import Foundation
import Numerics
import Testing
import TestSupport

@testable import Files

@Suite struct CheckpointStoreTests {
  private static let digest = "00ff"
  private static let trained = ParameterSpecification(
    name: "head", shape: [2], rows: SpaceID("y"), columns: nil)
  private static let frozen = ParameterSpecification(
    name: "block", shape: [3], rows: SpaceID("x"), columns: nil, isTrained: false)

  private let tensors = CheckpointTensors([Self.frozen, Self.trained], statePrefixes: ["moment1", "moment2"])

  private func save(_ store: CheckpointStore, _ content: CheckpointContent, _ step: Int, best: Int? = nil) throws {
    let record = CheckpointRecord(
      content: content, step: step, jobDigest: Self.digest,
      best: best.map { CheckpointRecord.Best(step: $0, epoch: 0, metric: nil) })
    let writer = try store.write(record, as: Float.self, tensors: tensors)
    for tensor in tensors.descriptions(content, step: step) { try writer.append(Tensor(zeros: tensor.shape)) }
    try writer.finish()
  }

  @Test func frozenTensorsAreInNoFileButTheirOwn() {
    #expect(tensors.hasFrozen)
    #expect(tensors.descriptions(.frozen, step: 0).map(\.name) == ["block"])
    #expect(tensors.descriptions(.best, step: 7).map(\.name) == ["head"])
    #expect(
      tensors.descriptions(.state, step: 7).map(\.name) == [
        "head", "optimizer.moment1.head", "optimizer.moment2.head",
      ])
    // Before the first step there is no optimizer.
    #expect(tensors.descriptions(.state, step: 0).map(\.name) == ["head"])
    #expect(!CheckpointTensors([Self.trained], statePrefixes: []).hasFrozen)
  }

  @Test func aStoreKeepsOneFileAStep() throws {
    let directory = try TemporaryDirectory()
    let store = try CheckpointStore(directory: directory.file("a/b/store"))
    for step in [200, 100, 1_234_567_890_123, 100] { try save(store, .state, step) }
    try save(store, .frozen, 0)
    #expect(try store.steps() == [100, 200, 1_234_567_890_123])
    #expect(try store.bestSteps().isEmpty)
    #expect(store.path(123).hasSuffix("/checkpoint-000000123.safetensors"))
    #expect(store.path(.best, 12).hasSuffix("/best-000000012.safetensors"))
    let reader = try store.read(.state, step: 200, as: Float.self, jobDigest: Self.digest, tensors: tensors)
    #expect(reader.record.step == 200)
    _ = try store.read(.frozen, as: Float.self, jobDigest: Self.digest, tensors: tensors)
    try store.removeAll(before: 200, keepingBest: nil)
    #expect(try store.steps() == [200, 1_234_567_890_123])
  }

  @Test func bestWeightsStayWhileSomethingSpeaksOfThem() throws {
    let directory = try TemporaryDirectory()
    let store = try CheckpointStore(directory: directory.path)
    for step in [5, 10, 15, 20] { try save(store, .best, step) }
    try save(store, .state, 9, best: 5)
    try save(store, .state, 14, best: 10)
    try save(store, .state, 16)
    try store.removeAll(before: 12, keepingBest: 20)
    #expect(try store.steps() == [14, 16])
    #expect(try store.bestSteps() == [10, 20])
    #expect(try store.best(ofStep: 14)?.step == 10)
    #expect(try store.best(ofStep: 16) == nil)
    // What a damaged checkpoint needs is not known.
    try Data("no".utf8).write(to: URL(fileURLWithPath: store.path(16)))
    try store.removeAll(before: 16, keepingBest: 20)
    #expect(try store.bestSteps() == [10, 20])
    try store.removeAll(before: 17, keepingBest: 20)
    #expect(try store.bestSteps() == [20])
  }

  @Test func aStorePassesOverOtherFilesAndRemovesLeftovers() throws {
    let directory = try TemporaryDirectory()
    for name in [
      "checkpoint-12.safetensors", "checkpoint-0000000012.safetensors", "checkpoint-00000001x.safetensors", "notes",
      ".writing-0123456789abcdef", "checkpoint-99999999999999999999.safetensors", "best-12.safetensors",
    ] {
      try Data().write(to: URL(fileURLWithPath: directory.file(name)))
    }
    let store = try CheckpointStore(directory: directory.path)
    #expect(try store.steps().isEmpty && store.bestSteps().isEmpty)
    #expect(try directory.names.count == 6)
  }

  @Test func aStepThatIsNotThereOrUnderAnotherName() throws {
    let directory = try TemporaryDirectory()
    let store = try CheckpointStore(directory: directory.path)
    try save(store, .state, 5)
    try save(store, .best, 5)
    for content in [CheckpointContent.state, .best] {
      try FileManager.default.moveItem(atPath: store.path(content, 5), toPath: store.path(content, 6))
      #expect(throws: FileError.checkpoint(path: store.path(content, 6), .noSuchStep(6))) {
        try store.read(content, step: 6, as: Float.self, jobDigest: Self.digest, tensors: tensors)
      }
      #expect(throws: FileError.self) {
        try store.read(content, step: 5, as: Float.self, jobDigest: Self.digest, tensors: tensors)
      }
    }
    #expect(throws: FileError.checkpoint(path: store.path(5), .noSuchStep(5))) {
      try store.read(.state, step: 5, as: Float.self, jobDigest: Self.digest, tensors: tensors)
    }
  }

  @Test func aStoreWhereAFileIsInTheWay() throws {
    let directory = try TemporaryDirectory()
    try Data().write(to: URL(fileURLWithPath: directory.file("store")))
    #expect(throws: FileError.self) { try CheckpointStore(directory: directory.file("store")) }
    #expect(throws: FileError.self) { try CheckpointStore(directory: directory.file("store/below")) }
  }
}
