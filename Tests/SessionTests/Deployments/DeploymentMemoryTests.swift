import Foundation
import Foundations
import Numerics
import Testing
import TestSupport
import Protocol
import Training

@testable import Service
@testable import TrainerRole

/// More models than memory holds: all answer, and what was used least recently makes room.
@Suite(.waiting, .timeLimit(.minutes(5))) struct DeploymentMemoryTests {
  /// A number of the metrics page.
  private func metric(_ name: String, of trainer: TrainerHost<Float>) -> Double? {
    var text = MetricsText()
    trainer.deploymentMetrics.add(to: &text, memoryLimit: 0)
    let line = text.text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
    return line.flatMap { Double($0.dropFirst(name.count + 1)) }
  }

  @Test func fiftyCopiesInMemoryForAFew() throws {
    let site = try HostedSite<Float>()
    let models = try (0..<50).map { try SmallHostedModel<Float>(.perceptron, seed: UInt64($0), hidden: 500) }
    let one = try #require(LoadedModels<Float>.bytesNeeded(models[0].description))
    let limit = 7 * one / 2
    let trainer = site.trainer(deploymentMemory: limit)
    defer { trainer.shutDown() }
    let key = try site.client()
    let clients = try models.map { model in
      let copy = try site.upload(model)
      let id = JobID.random()
      _ = try site.deploy(id, [site.entry(key, copy)])
      return RawClient<Float>(site.network, key, deployment: id)
    }
    let rows = models[0].question(3, seed: 1)
    for round in 1...2 {
      for client in clients { try client.send(.ask(number: round, keyNumber: 1, rows: rows)) }
      for (client, model) in zip(clients, models) {
        #expect(SmallHostedModel.areAlike(try client.answer(to: round).values, try model.outputs(rows)))
      }
    }
    // Published once a second.
    let deadline = ContinuousClock.now + .seconds(120)
    while metric("trainer_deployment_loads_total", of: trainer) != 100, ContinuousClock.now < deadline {
      Thread.sleep(forTimeInterval: 0.05)
    }
    #expect(metric("trainer_deployments", of: trainer) == 50)
    #expect(metric("trainer_deployment_loads_total", of: trainer) == 100)
    #expect(metric("trainer_deployment_copies_loaded", of: trainer) == 3)
    #expect(metric("trainer_deployment_evictions_total", of: trainer) == 97)
    #expect(try #require(metric("trainer_deployment_memory_bytes", of: trainer)) <= Double(limit))
    #expect(metric("trainer_deployment_questions_total", of: trainer) == 100)
    #expect(metric("trainer_deployment_rows_total", of: trainer) == 300)
    #expect(metric("trainer_deployment_answer_seconds_count", of: trainer) == 100)
  }

  @Test func aModelLargerThanAllMemory() throws {
    let site = try HostedSite<Float>()
    let one = try #require(LoadedModels<Float>.bytesNeeded(site.model.description))
    let trainer = site.trainer(deploymentMemory: one - 1)
    defer { trainer.shutDown() }
    let owner = RawOwner<Float>(site.network, site.ownerKey, job: .random())
    let refusal = try owner.refusal(of: .submit(site.model.description))
    #expect(refusal.kind == .refused && refusal.reason.contains("--deployment-memory"), "\(refusal)")
  }

  /// Sessions make room for each other, and what is lost of them is only time.
  @Test func sessionsInMemoryForAFew() throws {
    let site = try HostedSite<Float>(.decoder)
    let model = try #require(LoadedModels<Float>.bytesNeeded(site.model.description))
    let session = try #require(GenerationCache<Float>.bytesNeeded(site.model.description.graph, tokens: 12))
    let trainer = site.trainer(deploymentMemory: model + 5 * session / 2)
    defer { trainer.shutDown() }
    let client = try site.deployed().clients[0]
    let tokens = site.model.tokens(12, seed: 1)
    func extend(_ session: Int, from position: Int, _ range: Range<Int>) throws -> Bool {
      switch try client.extend(session, from: position, tokens.slice(rows: range)) {
      case .extended(session, let end, _, _, let values):
        #expect(end == range.upperBound)
        #expect(
          SmallHostedModel.areAlike(values, try site.model.lastOutputs(tokens.slice(rows: 0..<range.upperBound))))
        return true
      case .sessionLost(session): return false
      case let answer:
        Issue.record("\(answer)")
        return false
      }
    }
    var lost = 0
    for session in 1...6 { #expect(try extend(session, from: 0, 0..<4)) }
    for token in 4..<12 {
      for session in 1...6 {
        if try extend(session, from: token, token..<token + 1) { continue }
        lost += 1
        #expect(try extend(session, from: 0, 0..<token + 1))
      }
    }
    #expect(lost == 48)
    #expect(try client.open().rowsSeen == 6 * 12)
    // One at a time fits.
    #expect(try extend(9, from: 0, 0..<4))
    for token in 4..<12 { #expect(try extend(9, from: token, token..<token + 1)) }
  }
}
