import Families
import Foundation
import Foundations
import JobSpec
import Models
import Numerics
import Protocol
import Synchronization
import TestSupport
import Testing
import Training

@testable import Datasets
@testable import OwnerRole

/// A tiny language model that is deployed for two clients, prompts, and the same model in the clear.
struct GenerationStage<Element: FloatingElement>: Sendable {
  let fixture: DeploymentFixture<Element>
  let source: ModelSource
  let prompts: URL
  let texts: [[Int32]]

  /// What a text has in the end.
  struct Result: Equatable {
    let tokens: [Int32]
    let isFinished: Bool
  }

  /// - Parameters:
  ///   - lengths: of the prompts.
  ///   - endTokens: as config.json names them.
  ///   - zeroed: a tensor of nothing but zeros.
  init(lengths: [Int] = [3, 7, 1, 5, 12, 2], endTokens: [Int] = [], zeroing zeroed: String? = nil) throws {
    fixture = try DeploymentFixture<Element>()
    let checkpoint = fixture.directory.url("checkpoint")
    try TinyTexts.writeModel(to: checkpoint, endTokens: endTokens, zeroing: zeroed)
    source = try fixture.source(checkpoint, task: .causalLanguageModel)
    var random = SplitMix(seed: 11)
    texts = lengths.map { length in (0..<length).map { _ in Int32(random.next() % UInt64(TinyCheckpoint.vocabulary)) } }
    prompts = try TinyTexts.write(texts, to: fixture.directory.url("prompts.h5"))
  }

  func host(deploymentMemory: Int = 1 << 30, ownerSilence: Duration = .seconds(8)) -> TrainerHost<Element> {
    TrainerHost(
      on: fixture.network, store: fixture.directory.url("store"), ownerSilence: ownerSilence,
      deploymentMemory: deploymentMemory)
  }

  static var greedy: TokenSampling { get throws { try TokenSampling(temperature: 0) } }

  // MARK: - Generating

  func generation(
    _ deployment: Deployment<Element>, as client: Int = 0, to name: String, mostTokens: Int? = 20,
    sampling: TokenSampling? = nil, seed: Int? = 5, atOnce: Int = .max, prompts file: URL? = nil,
    features: String? = nil,
    interruption: Flag = Flag(), observe: @escaping (Generation<Element>.Event) -> Void = { _ in }
  ) throws -> Generation<Element> {
    let directory = fixture.given(fixture.clients[client].name)
    let asking = try DeploymentClient<Element>(
      directory, own: fixture.clients[client].keys, compute: Compute(threads: 1))
    return try Generation(
      GenerationRequest(
        prompts: (file ?? prompts).path, features: features, mostTokens: mostTokens, sampling: sampling ?? Self.greedy,
        seed: seed, textsAtOnce: atOnce),
      client: asking, to: fixture.directory.url(name), takeNumbers: { try directory.takeNumbers($0, after: $1) },
      isInterrupted: { interruption.isRaised }, observe: observe)
  }

  @discardableResult
  func generate(
    _ deployment: Deployment<Element>, as client: Int = 0, to name: String, mostTokens: Int? = 20,
    sampling: TokenSampling? = nil, seed: Int? = 5, atOnce: Int = .max, prompts file: URL? = nil,
    features: String? = nil,
    over channel: (any OwnerChannel)? = nil, patience: Duration = .seconds(60),
    interruption: Flag = Flag(), observe: @escaping (Generation<Element>.Event) -> Void = { _ in }
  ) throws -> GenerationReport {
    try generation(
      deployment, as: client, to: name, mostTokens: mostTokens, sampling: sampling, seed: seed, atOnce: atOnce,
      prompts: file, features: features, interruption: interruption, observe: observe
    ).run(over: fixture.connection(deployment, as: client, over: channel), patience: patience)
  }

  // MARK: - Results

  func numbers(_ name: String, _ dataset: String) throws -> (values: [Int32], columns: Int) {
    let array = try HDF5File(path: fixture.directory.url(name).path).openArray(dataset)
    var values = [Int32](repeating: 0, count: array.rows * array.columns)
    try array.read(rows: 0..<array.rows, as: .int32, into: &values)
    return (values, array.columns)
  }

  /// What was written, its padding checked.
  func results(_ name: String) throws -> [Result] {
    let (tokens, columns) = try numbers(name, "tokens")
    let lengths = try numbers(name, "lengths").values
    let finished = try numbers(name, "finished").values
    #expect(columns == Int(lengths.max() ?? 0) && finished.allSatisfy { $0 == 0 || $0 == 1 })
    return lengths.indices.map { row in
      let all = tokens[row * columns..<(row + 1) * columns]
      // The checkpoint's padding is 0.
      #expect(all.dropFirst(Int(lengths[row])).allSatisfy { $0 == 0 })
      return Result(tokens: Array(all.prefix(Int(lengths[row]))), isFinished: finished[row] == 1)
    }
  }

  /// The whole text through the unmasked model for every token, nothing kept between them.
  ///
  /// - Parameter limit: of a prompt of so many tokens.
  func expected(
    _ sampling: TokenSampling, seed: Int = 5, limit: (Int) -> Int = { _ in 20 }, texts: [[Int32]]? = nil
  ) throws -> [Result] {
    let opened = try source.open()
    let model = try PlaintextModel<Element>(opened)
    let endTokens = opened.questionShape.tokens?.endTokens ?? []
    return try (texts ?? self.texts).enumerated().map { row, prompt in
      let draws = TokenDraws(seed: seed, row: row, skipped: 0)
      var text = prompt
      var new: [Int32] = []
      while new.count < limit(prompt.count) {
        let tokens = text.enumerated().map { Token(id: $0.element, position: Int32($0.offset)) }
        let last = try #require(try model.outputs([tokens]).last)
        let logits = last.enumerated().map { TokenLogit(token: Int32($0.offset), value: $0.element) }
        let token = try #require(sampling.choose(logits, uniform: draws.next()))
        text.append(token)
        new.append(token)
        if endTokens.contains(Int(token)) { return Result(tokens: new, isFinished: true) }
      }
      return Result(tokens: new, isFinished: false)
    }
  }

  /// Tokens that the host has to see for these texts: all but the last of each.
  func tokensSent(_ results: [Result], texts: [[Int32]]? = nil) -> Int {
    zip(texts ?? self.texts, results).reduce(0) { $0 + $1.0.count + $1.1.tokens.count - 1 }
  }
}
