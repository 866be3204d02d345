import Models
import Foundation
import Numerics
import Testing
import TestSupport

@testable import Files

@Suite struct TrainingCheckpointTests {
  private static let digest = "00ff"

  /// Values whose bits a conversion or a sum would not keep: −0, the smallest subnormal.
  private static let floats: [Float] = [-0.0, Float.leastNonzeroMagnitude, 1 / 3, .infinity, -1.5, 3e38]

  /// A matrix and a bias, and momentum of the matrix.
  private struct Saved<Element: TensorElement> {
    var record = CheckpointRecord(
      content: .state, step: 12, jobDigest: digest,
      best: CheckpointRecord.Best(step: 10, epoch: 3, metric: 0.1 + 0.2), frozenHash: "0123456789abcdef")
    var tensors: [(name: String, tensor: Tensor<Element>)]

    init(_ values: [Element]) {
      let weights = Tensor(values, shape: [2, values.count / 2])
      tensors = [
        ("layers.2.weight", weights), ("layers.0.weight", Tensor(values.prefix(2), shape: [2])),
        ("optimizer.momentum.layers.2.weight", weights),
      ]
    }

    var descriptions: [TensorDescription] {
      tensors.map { TensorDescription(name: $0.name, shape: $0.tensor.shape) }
    }

    @discardableResult
    func write(to path: String) throws -> String {
      let writer = try CheckpointWriter<Element>(to: path, record: record, tensors: descriptions)
      for (_, tensor) in tensors { try writer.append(tensor) }
      return try writer.finish()
    }

    func reader(_ path: String, digest: String = digest) throws -> CheckpointReader<Element> {
      try CheckpointReader(from: path, content: record.content, jobDigest: digest) { _ in descriptions }
    }

    /// Everything, tensor by tensor.
    func read(_ path: String) throws -> [Tensor<Element>] {
      let reader = try reader(path)
      let result = try tensors.map { _, tensor in
        var target = Tensor<Element>(zeros: tensor.shape)
        try target.withUnsafeMutableBufferPointer { try reader.readNext(into: $0) }
        return target
      }
      try reader.finish()
      return result
    }
  }

  private func bits(_ tensors: [Tensor<Float>]) -> [UInt32] {
    tensors.flatMap { $0.elements.map(\.bitPattern) }
  }

  @Test(arguments: [true, false]) func everythingComesBackBitForBit(best: Bool) throws {
    let directory = try TemporaryDirectory()
    var saved = Saved(Self.floats)
    if !best { (saved.record.best, saved.record.frozenHash) = (nil, nil) }
    let hash = try saved.write(to: directory.file("c"))
    #expect(try bits(saved.read(directory.file("c"))) == bits(saved.tensors.map(\.tensor)))
    let reader = try saved.reader(directory.file("c"))
    #expect(reader.record == saved.record)
    #expect(reader.contentHash == hash && hash.utf8.count == 16)
    try reader.verify()
    #expect(try directory.permissions("c") == 0o600)
    #expect(try directory.names == ["c"])
  }

  @Test func notANumberKeepsItsBits() throws {
    let directory = try TemporaryDirectory()
    let saved = Saved([Float(bitPattern: 0x7FC0_1234), 1])
    try saved.write(to: directory.file("c"))
    #expect(try bits(saved.read(directory.file("c"))) == bits(saved.tensors.map(\.tensor)))
  }

  @Test func doublesComeBackToo() throws {
    let directory = try TemporaryDirectory()
    let saved = Saved([0.1, Double.leastNonzeroMagnitude])
    try saved.write(to: directory.file("c"))
    #expect(try saved.read(directory.file("c")) == saved.tensors.map(\.tensor))
  }

  /// What arrives in pieces makes the same file, byte for byte.
  @Test func howTheElementsAreCutDoesNotMatter() throws {
    let directory = try TemporaryDirectory()
    let saved = Saved(Self.floats)
    try saved.write(to: directory.file("whole"))
    let all = saved.tensors.flatMap(\.tensor.elements)
    for size in [1, 4, 5, 14] {
      let writer = try CheckpointWriter<Float>(
        to: directory.file("pieces"), record: saved.record, tensors: saved.descriptions)
      for start in stride(from: 0, to: all.count, by: size) {
        try Array(all[start..<min(all.count, start + size)]).withUnsafeBufferPointer { try writer.append($0) }
      }
      try writer.finish()
      #expect(directory.contents("pieces") == directory.contents("whole"))
    }
  }

  @Test func aFileIsThereOnlyWhenItIsFinished() throws {
    let directory = try TemporaryDirectory()
    let saved = Saved(Self.floats)
    do {
      let writer = try CheckpointWriter<Float>(
        to: directory.file("c"), record: saved.record, tensors: saved.descriptions)
      try writer.append(saved.tensors[0].tensor)
      #expect(throws: FileError.checkpoint(path: directory.file("c"), .otherSize)) { try writer.finish() }
      #expect(directory.contents("c") == nil)
    }
    #expect(try directory.names.isEmpty)
  }

  @Test func moreElementsThanTheTensorsHaveAreRefused() throws {
    let directory = try TemporaryDirectory()
    let saved = Saved(Self.floats)
    let writer = try CheckpointWriter<Float>(
      to: directory.file("c"), record: saved.record, tensors: saved.descriptions)
    for (_, tensor) in saved.tensors { try writer.append(tensor) }
    #expect(throws: FileError.checkpoint(path: directory.file("c"), .otherSize)) {
      try writer.append(Tensor([1], shape: [1]))
    }
    try writer.finish()
    let reader = try saved.reader(directory.file("c"))
    var small = Tensor<Float>(zeros: [5])
    #expect(throws: FileError.checkpoint(path: directory.file("c"), .otherSize)) {
      try small.withUnsafeMutableBufferPointer { try reader.readNext(into: $0) }
    }
    #expect(throws: FileError.checkpoint(path: directory.file("c"), .otherSize)) { try reader.finish() }
  }

  /// The frozen weights' hash is known when they are all there, after this file was begun.
  @Test func theFrozenHashMayComeLast() throws {
    let directory = try TemporaryDirectory()
    let saved = Saved(Self.floats)
    let expected = try saved.write(to: directory.file("known"))
    var begun = saved.record
    begun.frozenHash = "0000000000000000"
    let writer = try CheckpointWriter<Float>(to: directory.file("late"), record: begun, tensors: saved.descriptions)
    for (_, tensor) in saved.tensors { try writer.append(tensor) }
    #expect(try writer.finish(frozenHash: "0123456789abcdef") == expected)
    #expect(directory.contents("late") == directory.contents("known"))
  }

  @Test func rowsAreReadAlone() throws {
    let directory = try TemporaryDirectory()
    let saved = Saved(Self.floats)
    try saved.write(to: directory.file("c"))
    let reader = try saved.reader(directory.file("c"))
    #expect(try reader.rows(1..<2, ofTensor: 0) == Tensor(Self.floats[3...], shape: [1, 3]))
    #expect(try reader.rows(0..<2, ofTensor: 1) == Tensor(Self.floats[..<2], shape: [2]))
    for (rows, index) in [(1..<3, 0), (-1..<1, 0), (0..<1, 3), (0..<1, -1)] {
      #expect(throws: FileError.checkpoint(path: directory.file("c"), .otherSize)) {
        try reader.rows(rows, ofTensor: index)
      }
    }
  }

  // MARK: - What does not fit

  private func problem(
    _ directory: TemporaryDirectory, digest: String = digest, expecting saved: Saved<Float>
  ) -> TrainingCheckpointProblem? {
    do {
      try saved.reader(directory.file("c"), digest: digest).verify()
      return nil
    } catch FileError.checkpoint(_, let problem) {
      return problem
    } catch {
      return nil
    }
  }

  @Test func aCheckpointOfAnotherJob() throws {
    let directory = try TemporaryDirectory()
    let saved = Saved(Self.floats)
    try saved.write(to: directory.file("c"))
    #expect(problem(directory, digest: "00fe", expecting: saved) == .otherJob)
  }

  @Test func aCheckpointOfAnotherModel() throws {
    let directory = try TemporaryDirectory()
    let saved = Saved(Self.floats)
    try saved.write(to: directory.file("c"))
    var wider = saved
    wider.tensors[1].tensor = Tensor(zeros: [3])
    #expect(problem(directory, expecting: wider) == .shape(name: "layers.0.weight", expected: [3], found: [2]))
    var more = saved
    more.tensors.append(("layers.4.weight", Tensor(zeros: [3])))
    #expect(problem(directory, expecting: more) == .missingTensor("layers.4.weight"))
    var fewer = saved
    fewer.tensors.removeLast()
    #expect(problem(directory, expecting: fewer) == .unexpectedTensor("optimizer.momentum.layers.2.weight"))
  }

  @Test func aFileOfAnotherKind() throws {
    let directory = try TemporaryDirectory()
    var saved = Saved(Self.floats)
    try saved.write(to: directory.file("c"))
    saved.record.content = .best
    #expect(problem(directory, expecting: saved) == .otherContent(.state))
  }

  @Test func aCheckpointOfAnotherPrecision() throws {
    let directory = try TemporaryDirectory()
    try Saved([0.5, 1.0] as [Double]).write(to: directory.file("c"))
    #expect(throws: FileError.self) { try Saved([0.5, 1] as [Float]).reader(directory.file("c")) }
  }

  @Test func aSafetensorsFileThatIsNoCheckpoint() throws {
    let directory = try TemporaryDirectory()
    try SafetensorsFile.write([SafetensorsTensor("w", Tensor<Float>(zeros: [1]))], to: directory.file("c"))
    #expect(problem(directory, expecting: Saved(Self.floats)) == .notACheckpoint)
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
      ("version", "1", TrainingCheckpointProblem.unsupportedVersion("1")),
      ("step", "-1", .malformedMetadata(key: "step")), ("step", "x", .malformedMetadata(key: "step")),
      ("step", nil, .malformedMetadata(key: "step")), ("best_epoch", "1.5", .malformedMetadata(key: "best_epoch")),
      ("best_epoch", nil, .malformedMetadata(key: "best_epoch")),
      ("best_step", nil, .malformedMetadata(key: "best_step")),
      ("best_metric", "good", .malformedMetadata(key: "best_metric")),
      ("content", "all", .malformedMetadata(key: "content")), ("content", nil, .malformedMetadata(key: "content")),
      ("step", "13", .damaged), ("best_step", "11", .damaged), ("frozen_xxh64", nil, .damaged),
      ("xxh64", nil, .damaged),
    ] as [(String, String?, TrainingCheckpointProblem)])
  func metadataThatWasChanged(key: String, text: String?, expected: TrainingCheckpointProblem) throws {
    let directory = try TemporaryDirectory()
    let saved = Saved(Self.floats)
    try saved.write(to: directory.file("c"))
    try rewrite(key, text, directory)
    #expect(problem(directory, expecting: saved) == expected)
  }

  @Test func everyFlippedBitOfTheFileIsNoticed() throws {
    let directory = try TemporaryDirectory()
    let saved = Saved(Self.floats)
    try saved.write(to: directory.file("c"))
    let whole = try #require(directory.contents("c"))
    for place in whole.indices {
      var damaged = whole
      damaged[place] ^= 1 << (place % 8)
      try damaged.write(to: URL(fileURLWithPath: directory.file("c")))
      #expect(throws: FileError.self, "byte \(place)") { try saved.read(directory.file("c")) }
      #expect(throws: FileError.self, "byte \(place)") { try saved.reader(directory.file("c")).verify() }
    }
  }

  @Test func aTruncatedCheckpointIsRefusedAtEveryLength() throws {
    let directory = try TemporaryDirectory()
    let saved = Saved(Self.floats)
    try saved.write(to: directory.file("c"))
    let whole = try #require(directory.contents("c"))
    for length in whole.indices {
      try whole.prefix(length).write(to: URL(fileURLWithPath: directory.file("c")))
      #expect(throws: FileError.self) { try saved.read(directory.file("c")) }
    }
  }

  @Test func namesThatWouldCollideAreNotWritten() throws {
    let directory = try TemporaryDirectory()
    for content in CheckpointContent.allCases {
      for name in ["optimizer.x", "__metadata__"] where content != .state || name == "__metadata__" {
        var saved = Saved(Self.floats)
        saved.record.content = content
        saved.tensors = [(name, Tensor(zeros: [1]))]
        #expect(throws: FileError.checkpoint(path: directory.file("c"), .reservedName(name))) {
          try saved.write(to: directory.file("c"))
        }
      }
    }
    var saved = Saved(Self.floats)
    saved.record.step = -1
    #expect(throws: FileError.checkpoint(path: directory.file("c"), .negativeStep)) {
      try saved.write(to: directory.file("c"))
    }
    #expect(try directory.names.isEmpty)
  }
}
