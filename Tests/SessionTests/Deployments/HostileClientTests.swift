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
    // And after a restart, whatever was written down of it.
    trainer.shutDown()
    let second = site.trainer()
    defer { second.shutDown() }
    #expect(try other.again().ask(2, rows).rowsSeen == status.rows + rows.values.rows)
    #expect(try hostile.again().open().rowsSeen == status.rows + rows.values.rows)
    #expect(second.events.refusals.isEmpty)
  }

  /// Numbers at the edges of what may be written down are answered and read again; those beyond are refused.
  @Test func theLargestNumbers() throws {
    let site = try HostedSite<Float>(.decoder)
    let first = site.trainer()
    let client = try site.deployed().clients[0]
    let rows = site.model.question(2, seed: 1)
    let tokens = site.model.tokens(3, seed: 1)
    func ask(_ number: Int) -> ClientRequest<Float> { .ask(number: number, keyNumber: 1, rows: rows) }
    func extend(_ session: Int) -> ClientRequest<Float> {
      .extend(session: session, keyNumber: 1, position: 0, largest: 0, tokens: tokens)
    }
    for number in [1 << 52 + 1, 1 << 53, 1 << 62] {
      #expect(try client.refusal(of: ask(number)).reason.contains("a number of 1 … 2^52"))
      #expect(try client.refusal(of: extend(number)).reason.contains("beyond the number 2^52"))
    }
    let seen = try client.ask(1 << 52, rows).rowsSeen
    guard case .extended(1 << 52, 3, seen + 3, _, _) = try client.extend(1 << 52, from: 0, tokens) else {
      Issue.record("not extended")
      return
    }
    first.shutDown()
    let second = site.trainer()
    defer { second.shutDown() }
    #expect(try client.again().open().rowsSeen == seen + 3)
    #expect(try client.again().open().lastQuestion == 1 << 52)
  }

  /// Questions whose numbers are forgotten while they are computed: what cannot be counted is not answered, and the log stays whole.
  @Test func numbersThatAreForgottenMeanwhile() throws {
    let site = try HostedSite<Float>(question: 20_000)
    let slow = try SmallHostedModel<Float>(.perceptron, question: 20_000, hidden: 10_000)
    let first = site.trainer(ownerSilence: .seconds(60))
    let key = try site.client()
    let id = JobID.random()
    _ = try site.deploy(id, [site.entry(key, try site.upload(slow))])
    let client = RawClient<Float>(site.network, key, deployment: id)
    let one = slow.question(1, seed: 1)
    for number in 1...256 { _ = try client.ask(1000 * number, one) }
    // While the first is computed the others come; they are answered together, in their order.
    let many = slow.question(20_000, seed: 2)
    try client.send(.ask(number: 256_500, keyNumber: 1, rows: many))
    try client.send(.ask(number: 257_000, keyNumber: 1, rows: one))
    let small = slow.question(20, seed: 3)
    for number in 1...6 { try client.send(.ask(number: number, keyNumber: 1, rows: small)) }
    var (answered, refused, seen) = (0, 0, 0)
    while answered + refused < 8 {
      switch try client.connection.next() {
      case .deployment(.answered(_, let rowsSeen, _)): (answered, seen) = (answered + 1, rowsSeen)
      case .refused(.refused, let reason):
        refused += 1
        #expect(reason.contains("number them upwards") || reason.contains("number questions upwards"), "\(reason)")
      default: break
      }
    }
    #expect(answered == 2 && refused == 6)
    #expect(seen == 256 + 20_000 + 1)
    first.shutDown()
    let second = site.trainer()
    defer { second.shutDown() }
    #expect(try client.again().open().rowsSeen == seen)
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
