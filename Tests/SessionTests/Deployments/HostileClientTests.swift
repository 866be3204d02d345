import Foundation
import Foundations
import Numerics
import Testing
import TestSupport
import Protocol

/// Whatever a client sends, it is answered or refused, and the host is there for the others. The generator is seeded, so that a failure repeats.
@Suite(.waiting, .timeLimit(.minutes(10))) struct HostileClientTests {
  @Test(arguments: [SmallHostedModel<Float>.Kind.perceptron, .encoder, .decoder])
  func alteredMessages(_ kind: SmallHostedModel<Float>.Kind) throws {
    let site = try HostedSite<Float>(kind)
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let deployed = try site.deployed(clients: 2)
    let (hostile, other) = (deployed.clients[0], deployed.clients[1])
    let codec = hostile.connection.codec
    let tokens = site.model.tokens(3, seed: 1)
    let messages: [OwnerMessage<Float>] = [
      .question(.open), .question(.ask(number: 3, keyNumber: 1, rows: site.model.question(2, seed: 1))),
      .question(.extend(session: 2, keyNumber: 1, position: 0, largest: 3, tokens: tokens)),
      .question(.extend(session: 2, keyNumber: 1, position: 3, largest: 0, tokens: tokens.slice(rows: 0..<1))),
      .question(.close(session: 2)), .deployment(.undeploy), .deployment(.status), .status, .cancel, .release,
      .submit(site.model.description), .retrieve(chunk: 0),
    ]
    var random = SplitMix(seed: 7)
    let start = ContinuousClock.now
    for _ in 0..<4000 {
      guard let message = messages.randomElement(using: &random) else { continue }
      var frames = codec.frames(message, job: deployed.id)
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        let frame = Int.random(in: 0..<frames.count, using: &random)
        guard !frames[frame].isEmpty else { continue }
        frames[frame][Int.random(in: 0..<frames[frame].count, using: &random)] =
          [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: .min ... .max, using: &random)].randomElement(using: &random) ?? 0
      }
      if Int.random(in: 0..<20, using: &random) == 0 { frames = Array(frames.dropLast()) + [Data(count: 5)] }
      try hostile.connection.channel.send(frames)
      while try hostile.connection.channel.receive(timeout: .zero) != nil {}
    }
    // Ten of the refusals in ten seconds are in the trainer's log.
    let periods = Int(start.duration(to: .now) / .seconds(10)) + 2
    let refusals = trainer.events.refusals.count
    #expect((1...10 * periods).contains(refusals), "\(refusals) lines in \(periods) periods")
    // The deployment is there, the other client has its answers, and nothing of the hostile one's is under its name.
    #expect(try other.open().lastQuestion == 0)
    let rows = site.model.question(4, seed: 2)
    #expect(SmallHostedModel.areAlike(try other.ask(1, rows).values, try site.model.outputs(rows)))
    let owner = RawOwner<Float>(site.network, site.ownerKey, job: deployed.id)
    try owner.send(.deployment(.status))
    let status = try owner.status()
    #expect(status.clients.last?.questions == 1 && status.clients.last?.rows == rows.values.rows)
    #expect(status.rows == status.clients.reduce(0) { $0 + $1.rows })
  }

  /// An answer is that of the rows that were sent: of altered rows another, under a number of its own.
  @Test func anAlteredQuestion() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let client = try site.deployed().clients[0]
    let rows = site.model.question(2, seed: 1)
    _ = try client.ask(1, rows)
    var frames = client.connection.codec.frames(
      .question(.ask(number: 1, keyNumber: 1, rows: rows)), job: client.connection.job)
    // The last byte of the values: slots, carried and values are the first three tensors.
    frames[3][frames[3].count - 2] ^= 1
    try client.connection.channel.send(frames)
    #expect(try client.connection.refusal().reason.contains("question 1 was asked before with other rows"))
  }
}
