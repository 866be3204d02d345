import Foundation
import Foundations
import JobSpec
import Models
import OwnerRole
import Protocol
import Synchronization
import Testing
import TestSupport

/// Owners and stores of wire version 2 at a trainer of today.
@Suite(.waiting, .timeLimit(.minutes(10))) struct Version2Tests {
  private static let model = ModelDescription.mlp(
    MLPDescription(
      input: HomogeneousColumns(features: 4, padding: 0), hidden: [6], activation: .relu, outputs: 3))

  /// The whole job of a small perceptron, its owner's messages rewritten to those of wire version 2: every answer is of that version,
  /// and the weights are those of the same job today.
  @Test(arguments: LossLocation.allCases) func aWholeJob(_ loss: LossLocation) throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob().changing { $0.loss = loss })
    let expected = try site.undisturbed(run)
    guard case .mlp(hidden: let hidden, activation: let activation) = run.prepared.job.model else {
      throw NotAsExpected()
    }
    let description = run.prepared.description
    let old = Version2Description(
      description: description,
      model: .mlp(
        MLPDescription(
          input: HomogeneousColumns(
            features: run.prepared.shape.data.features, padding: run.prepared.job.masking.padding), hidden: hidden,
          activation: activation, outputs: run.prepared.shape.data.outputs,
          adapter: run.prepared.job.masking.adapterWidth)))
    let answers = Mutex<[UInt8]>([])
    site.network.setFault { transit in
      var message = transit.message
      switch transit.direction {
      case .toServer:
        if message[0][6] == 2, let submit = try? old.message(like: message) { return [submit] }
        message[0][4] = 2
      case .toOwner: answers.withLock { $0.append(message[0][4]) }
      }
      return [message]
    }
    try run.execute(on: site.network)
    #expect(answers.withLock { $0.count > 5 && $0.allSatisfy { $0 == 2 } })
    #expect(try run.model() == expected.model())
  }

  private struct NotAsExpected: Error {}

  /// A job proposed by an owner of before is the same job when its owner comes back with the program of today.
  @Test func theSameJobInBothVersions() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let job = RawJob<Float>()
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    for _ in 0..<2 {
      try owner.send(version2: job.description, Self.model)
      #expect(try isAccepted(owner))
      try owner.send(.submit(job.description))
      #expect(try isAccepted(owner))
    }
    var other = job
    other.description.graph = .perceptron(features: 4, hidden: [7])
    #expect(try owner.refusal(of: .submit(other.description)).reason.contains("another description"))
  }

  private func isAccepted(_ owner: RawOwner<Float>) throws -> Bool {
    try owner.wait { message in
      if case .accepted = message { return true }
      return nil
    }
  }

  /// What a trainer of before has left in its store is taken up.
  @Test func aStoreOfBefore() throws {
    let site = try Site<Float>()
    let job = RawJob<Float>()
    let first = site.trainer()
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    try job.begin(owner)
    first.shutDown()
    let file = first.store.appending(path: "jobs/\(owner.job)/job.json")
    guard var stored = try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any] else {
      throw NotAsExpected()
    }
    stored["description"] = try JSONSerialization.jsonObject(
      with: Version2Description(description: job.description, model: Self.model).json)
    let before = try JSONSerialization.data(withJSONObject: stored)
    #expect(!String(decoding: before, as: UTF8.self).contains("graph"))
    try before.write(to: file)
    let second = site.trainer()
    defer { second.shutDown() }
    #expect(second.events.refusals.isEmpty)
    let back = RawOwner<Float>(site.network, site.keys.ownerKey, job: owner.job)
    try back.send(.submit(job.description))
    #expect(try isAccepted(back))
    #expect(try job.attach(back).step == 0)
  }
}
