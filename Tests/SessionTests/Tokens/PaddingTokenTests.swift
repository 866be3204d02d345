import Datasets
import Files
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import Protocol
import TestSupport
import Testing

@testable import OwnerRole

/// A decoder's sequence classifier finds the token it pools by the padding id, whatever the mask says: the last of a row with another id
/// (`LlamaForSequenceClassification.forward`). What is written must make it find the token that was trained on, or nothing at all.
@Suite struct PaddingTokenTests {
  private let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  /// - Parameter padding: what the checkpoint says.
  private func prepared(_ padding: String, _ data: TokenData, train: TrainedPart = .all) throws -> PreparedJob {
    let checkpoint = directory.url("llama")
    try TinyCheckpoint.write(.llama, to: checkpoint)
    let file = checkpoint.appending(path: "config.json")
    let text = try String(contentsOf: file, encoding: .utf8)
    try Data(text.replacing("\"pad_token_id\": 0", with: "\"pad_token_id\": \(padding)").utf8).write(to: file)
    let job = TokenJob().changing { ($0.family, $0.train) = (.llama, train) }
    return try PreparedJob(job: try job.resolved(on: data), secret: try OrderSecret(ephemeralWithSeed: 1))
  }

  /// Writes the starting weights as a result and returns what its configuration says.
  private func exported(_ prepared: PreparedJob) throws -> [String: Any] {
    let shape = prepared.shape
    let start = shape.startingWeights(secret: prepared.secret)
    let trained = NamedTensors<Float>(
      try shape.structure.parameters.filter(\.isTrained).map { ($0.name, try start.tensor($0)) })
    try ModelDirectory(directory.url("model")).write(trained, shape: shape, standardization: nil, names: nil)
    let text = try Data(contentsOf: directory.url("model").appending(path: "config.json"))
    return try #require(try JSONSerialization.jsonObject(with: text) as? [String: Any])
  }

  private var readme: String {
    get throws { try String(contentsOf: directory.url("model").appending(path: "README.md"), encoding: .utf8) }
  }

  /// Rows of 5 tokens and 5 times `padding`.
  private func data(padding: Int64, last: @escaping (Int) -> Int64 = { Int64(1 + $0 % 19) }) throws -> TokenData {
    try TokenData(in: directory) { row, ids, mask, _ in
      for column in ids.indices {
        mask[column] = column < 5 ? 1 : 0
        if column == 4 { ids[column] = last(row) }
        if column > 4 { ids[column] = padding }
      }
    }
  }

  private func pooled(_ ids: [Int64], _ padding: Int) -> Int { ids.lastIndex { $0 != Int64(padding) } ?? 0 }

  @Test(arguments: ["null", "-1"]) func noneInTheCheckpointAndOneInTheData(_ declared: String) throws {
    let settings = try exported(prepared(declared, data(padding: 0)))
    let padding = try #require(settings["pad_token_id"] as? Int)
    #expect(padding == 0)
    for row in 0..<30 { #expect(pooled([1, 2, 3, 0, Int64(1 + row % 19), 0, 0, 0, 0, 0], padding) == 4) }
  }

  /// Rows that end in 0 would be pooled at the token before it: the class is to say that it needs a padding token.
  @Test(arguments: ["null", "-1"]) func noneInTheCheckpointAndTextsThatEndInTheDatas(_ declared: String) throws {
    let settings = try exported(prepared(declared, data(padding: 0) { $0 == 7 ? 0 : 3 }))
    #expect(settings["pad_token_id"] is NSNull)
    #expect(try readme.contains("config.pad_token_id"))
  }

  @Test func noneInTheCheckpointAndSeveralInTheData() throws {
    let data = try TokenData(in: directory) { row, ids, mask, _ in
      for column in 5..<ids.count { (ids[column], mask[column]) = (Int64(row % 2), 0) }
    }
    #expect(try exported(prepared("null", data))["pad_token_id"] is NSNull)
  }

  @Test func theCheckpointsOwn() throws {
    #expect(try exported(prepared("0", data(padding: 0)))["pad_token_id"] as? Int == 0)
    #expect(try !readme.contains("config.pad_token_id"))
  }

  @Test func textsThatEndInTheCheckpointsOwn() throws {
    let data = try data(padding: 0) { $0 == 7 || $0 == 9 ? 2 : 3 }
    let error = #expect(throws: OwnerError.self) { _ = try prepared("2", data) }
    #expect(error?.kind == .inputData)
    for part in ["row 7 and 1 others", "token 2", "LlamaForSequenceClassification", "pool: mean"] {
      #expect(error?.description.contains(part) == true)
    }
    // Where the mask leaves it out, the token before it is what is trained on and what the class finds.
    _ = try prepared(
      "2", try TokenData(in: directory, name: "masked") { _, ids, mask, _ in (ids[9], mask[9]) = (2, 0) })
  }

  /// A mean over all tokens does not look for the last.
  @Test func anotherPoolingMayEndInIt() throws {
    let job = TokenJob().changing { ($0.family, $0.pool) = (.llama, .mean) }
    let data = try data(padding: 0) { _ in 0 }
    _ = try PreparedJob(job: try job.resolved(on: data), secret: try OrderSecret(ephemeralWithSeed: 1))
  }

  /// Adapters are loaded onto the checkpoint, whose own configuration names no padding.
  @Test func adaptersSayWhichTokenPads() throws {
    let prepared = try prepared("null", data(padding: 0), train: TokenJob.lora(["q_proj"]))
    let shape = prepared.shape
    let start = shape.startingWeights(secret: prepared.secret)
    let trained = NamedTensors<Float>(
      try shape.structure.parameters.filter(\.isTrained).map { ($0.name, try start.tensor($0)) })
    try ModelDirectory(directory.url("model")).write(trained, shape: shape, standardization: nil, names: nil)
    #expect(try readme.contains("base.config.pad_token_id = 0\n"))
  }

  /// A run of a version that kept no padding token goes on.
  @Test func aRunThatKeptNoneIsResumed() throws {
    let site = try Site<Float>()
    let checkpoint = site.directory.url("llama")
    try TinyCheckpoint.write(.llama, to: checkpoint)
    let file = checkpoint.appending(path: "config.json")
    let text = try String(contentsOf: file, encoding: .utf8)
    try Data(text.replacing(", \"pad_token_id\": 0", with: "").utf8).write(to: file)
    let job = try TokenJob().changing { $0.family = .llama }.resolved(on: TokenData(in: site.directory))
    let run = try OwnedRun<Float>(job, keys: site.keys, in: site.directory.url("run"))
    #expect(run.state.data.paddingToken == 0)
    var state = run.state
    state.data.paddingToken = nil
    try state.check(run.prepared, run.directory)
    state.data.paddingToken = 5
    #expect(throws: OwnerError.self) { try state.check(run.prepared, run.directory) }
  }
}
