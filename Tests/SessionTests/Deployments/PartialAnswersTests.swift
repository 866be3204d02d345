import Datasets
import Files
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import Protocol
import Synchronization
import TestSupport
import Testing

@testable import OwnerRole

/// What a query keeps until its result is whole, and what of it a host cannot change.
@Suite(.waiting, .timeLimit(.minutes(5))) struct PartialAnswersTests {
  private let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private func subject(rows: Int = 4, columns: Int = 5, outputs: Int = 2) -> PartialAnswers.Subject {
    PartialAnswers.Subject(
      deployment: JobID(bytes: [UInt8](repeating: 7, count: JobID.byteCount)), client: "client",
      data: AskedFile(path: "/data.h5", bytes: 100, changed: 1.5), features: nil, rows: rows, width: columns * outputs)
  }

  private var path: String { directory.url("answers.partial").path }

  private func rows(_ partial: PartialAnswers, _ index: Int) throws -> [Float] {
    var found: [Float] = []
    try partial.forEachRows(of: index) { found += $0 }
    return found
  }

  /// Kept without the padding, and padded when they are handed out.
  @Test func outputsOfTokens() throws {
    let samples = [PredictedRow(outputs: 2, columns: [3, 0]), PredictedRow(outputs: 1, columns: [4])]
    let outputs = Tensor<Float>([1, 2, 3, 4, 5, 6], shape: [3, 2])
    let expected: [Float] =
      [3, 4, .nan, .nan, .nan, .nan, 1, 2, .nan, .nan] + [Float](repeating: .nan, count: 8) + [5, 6]
    for _ in 0..<2 {
      let partial = try PartialAnswers(.file(path), subject(), outputs: 2)
      if partial.isEmpty { try partial.add(samples, outputs, index: 0) }
      let found = try rows(partial, 0)
      #expect(found.count == expected.count)
      #expect(zip(found, expected).allSatisfy { $0 == $1 || $0.isNaN && $1.isNaN })
    }
    // 1 + 8 + 4 + (4 + 2 × 4) + (4 + 4) + 6 × 4, of 20 padded numbers.
    #expect(try RecordLog(path: path, magic: Array("partial answers1".utf8)).bytes(2).count == 57)
  }

  /// A file as the version before wrote it: rows of tokens with their padding, nothing drawn. Its answers stay, its numbers go.
  @Test func aFileOfTheVersionBefore() throws {
    struct Before: Encodable {
      let version = 1
      let deployment: JobID
      let client, data: String
      let bytes, rows, width: Int
      let changed: Double
    }
    let present = subject()
    let log = try RecordLog(path: path, magic: Array("partial answers1".utf8))
    func append(_ kind: UInt8, _ value: some Encodable) throws { try log.append([kind] + JSONEncoder().encode(value)) }
    try append(
      1,
      Before(
        deployment: present.deployment, client: present.client, data: present.data.path,
        bytes: present.data.bytes, rows: present.rows, width: present.width, changed: present.data.changed))
    try append(2, ["rowsPerQuestion": 1])
    try append(3, PartialAnswers.Numbering(index: 0, first: 9, keyNumber: 1, kernel: "k"))
    let values: [Float] = [1, 2, .nan, .nan, 5, 6, 7, 8, 9, 10]
    try log.append(
      [4] + withUnsafeBytes(of: UInt64(0).littleEndian) { Array($0) } + values.withUnsafeBytes { Array($0) })
    for _ in 0..<2 {
      let partial = try PartialAnswers(.file(path), present, outputs: 2)
      #expect(partial.answered == 1 && partial.cut?.rowsPerQuestion == 1 && partial.numbering == nil)
      #expect(zip(try rows(partial, 0), values).allSatisfy { $0 == $1 || $0.isNaN && $1.isNaN })
    }
    let drawn = try (0..<2).map { _ in try PartialAnswers(.file(path), present, outputs: 2).draw }
    #expect(drawn[0].number == drawn[1].number && drawn[0].isPossible)
  }

  /// Numbers that are multiplied and added later are looked at first.
  @Test(arguments: [
    (2, #"{"rowsPerQuestion":9223372036854775807}"#), (2, #"{"rowsPerQuestion":0}"#),
    (3, #"{"index":-1,"first":1,"keyNumber":1,"kernel":"k"}"#),
    (3, #"{"index":9223372036854775807,"first":1,"keyNumber":1,"kernel":"k"}"#),
    (3, #"{"index":0,"first":9223372036854775807,"keyNumber":1,"kernel":"k"}"#), (5, #"{"number":1}"#), (7, "{}"),
    (4, "short"), (1, "{}"),
  ])
  func recordsThatCannotBe(_ kind: Int, _ text: String) throws {
    _ = try PartialAnswers(.file(path), subject(), outputs: 2)
    try RecordLog(path: path, magic: Array("partial answers1".utf8)).append([UInt8(kind)] + Array(text.utf8))
    let error = #expect(throws: OwnerError.self) { _ = try PartialAnswers(.file(path), subject(), outputs: 2) }
    #expect(error?.kind == .usage)
  }

  @Test func answersOfTokensThatCannotBe() throws {
    func words(_ numbers: [UInt32]) -> [UInt8] {
      numbers.flatMap { n in withUnsafeBytes(of: n.littleEndian) { Array($0) } }
    }
    let bad: [[UInt32]] = [
      [], [1], [.max], [1, .max], [1, 2, 0], [1, 1, 5, 0, 0], [1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0, 0, 0],
    ]
    for numbers in bad {
      try? FileManager.default.removeItem(atPath: path)
      _ = try PartialAnswers(.file(path), subject(), outputs: 2)
      try RecordLog(path: path, magic: Array("partial answers1".utf8)).append(
        [6] + words([0, 0]) + words(numbers))
      let partial = try PartialAnswers(.file(path), subject(), outputs: 2)
      #expect(throws: OwnerError.self, "\(numbers)") { _ = try rows(partial, 0) }
    }
  }

  /// Whatever the host says of numbers, and of how many rows a question may have: a row that is masked again has the noise that it had. Noise of
  /// deviation 0.5 drawn anew would differ in nearly every number by more than 0.01; masking the same row twice differs by rounding.
  @Test func noiseIsDrawnOnce() throws {
    let fixture = try DeploymentFixture<Float>()
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let deployment = try fixture.deployed(
      fixture.source(
        try fixture.finishedRun(
          SmallJob().changing { $0.noise = 0.5 }.resolved(on: try SmallData(in: fixture.directory)))))
    let new = try SmallData(in: fixture.directory, rows: 60, seed: 5)
    host.state.withLock { $0.isWatching = true }
    var rounds: [(first: Int, values: [Float])] = []
    for (round, rowsPerQuestion) in [4, 4, 3, 5].enumerated() {
      host.state.withLock { state in
        state.seen = []
        state.rowsPerQuestion = rowsPerQuestion
        state.lastQuestion = round * 1000
      }
      // Hello, open and some questions, of whose answers nothing is read.
      let channel = MortalChannel(fixture.network.connect(fixture.clients[0].keys.ownerKey), operations: 12)
      #expect(throws: TransportError.closed) {
        try fixture.query(deployment, new.file, to: "answers.h5", over: channel, patience: .seconds(1))
      }
      // Until it has seen enough of them, and no more come: a late one would count into the next round.
      let deadline = ContinuousClock.now + .seconds(120)
      var (seenBefore, since) = (-1, ContinuousClock.now)
      while since.duration(to: .now) < .seconds(2), ContinuousClock.now < deadline {
        let values = host.state.withLock { $0.seen.reduce(0) { $0 + $1.rows.values.count } }
        if values != seenBefore || values < 100 { (seenBefore, since) = (values, .now) }
        usleep(10_000)
      }
      let seen = host.state.withLock { $0.seen }
      rounds.append((try #require(seen.first).number, seen.flatMap { $0.rows.values.elements }))
    }
    #expect(Set(rounds.map(\.first)).count == 4, "numbers are new, as the host has asked for")
    for round in rounds.dropFirst() {
      #expect(round.values.count >= 100)
      #expect(zip(round.values, rounds[0].values).allSatisfy { abs($0 - $1) < 1e-4 })
    }
    // Another query of the same rows has noise of its own.
    host.state.withLock { ($0.seen, $0.lastQuestion) = ([], nil) }
    try fixture.query(deployment, new.file, to: "other.h5")
    let other = host.state.withLock { $0.seen.flatMap { $0.rows.values.elements } }
    let same = zip(other, rounds[0].values).count { abs($0 - $1) < 1e-4 }
    #expect(same < 10)
  }

  /// Found out before anything is asked: a row of 80 million numbers, 20 for each of 4 million columns.
  @Test func aResultThatCannotBeWritten() throws {
    let fixture = try DeploymentFixture<Float>()
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let tokens = try TokenData(in: fixture.directory)
    let deployment = try fixture.deployed(
      fixture.source(
        try fixture.finishedRun(
          try TokenJob().changing { ($0.family, $0.task) = (.llama, .causalLanguageModel) }.resolved(on: tokens))))
    let wide = fixture.directory.url("wide.h5")
    let columns = 4_000_000
    let writer = try HDF5Writer(path: wide.path)
    for name in ["ids", "mask"] {
      try writer.createMatrix(name, columns: columns, of: Int64.self)
      try writer.append((0..<columns).map { $0 < 3 ? Int64(1) : 0 }, to: name)
    }
    try writer.commit()
    let error = #expect(throws: DatasetError.self) { try fixture.query(deployment, wide, to: "answers.h5") }
    #expect(error?.kind == .inputData && error?.description.contains("cannot be written") == true)
    host.state.withLock { #expect($0.asked == 0) }
    #expect(!fixture.directory.url("answers.h5.partial").isThere)
  }
}
