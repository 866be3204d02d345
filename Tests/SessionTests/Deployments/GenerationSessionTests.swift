import Foundation
import Foundations
import Numerics
import Testing
import TestSupport
import Protocol

/// Texts that are generated token by token, with keys and values kept at the host.
@Suite(.waiting, .timeLimit(.minutes(5))) struct GenerationSessionTests {
  private struct Stage<Element: FloatingElement> {
    let site: HostedSite<Element>
    let trainer: TrainerHost<Element>
    let id: JobID
    let copy: JobID
    let clients: [RawClient<Element>]

    init(maximumRows: Int? = nil) throws {
      site = try HostedSite<Element>(.decoder)
      trainer = site.trainer()
      (id, copy, clients) = try site.deployed(clients: 2, maximumRows: maximumRows)
    }

    /// The outputs after `end` of the session's tokens, of which those from `start` on are sent.
    func expectExtended(
      _ client: RawClient<Element>, _ session: Int, _ tokens: Tensor<Element>, _ range: Range<Int>, rowsSeen: Int
    ) throws {
      let answer = try client.extend(session, from: range.lowerBound, tokens.slice(rows: range))
      guard case .extended(session, let position, let seen, let indices, let values) = answer else {
        Issue.record("\(answer)")
        return
      }
      #expect(position == range.upperBound && seen == rowsSeen && indices.count == 0)
      #expect(SmallHostedModel.areAlike(values, try site.model.lastOutputs(tokens.slice(rows: 0..<range.upperBound))))
    }
  }

  @Test func outputsAreThoseOfTheWholeText() throws {
    try checkOutputs(Stage<Float>())
    try checkOutputs(Stage<Double>())
  }

  private func checkOutputs<Element: FloatingElement>(_ stage: Stage<Element>) throws {
    defer { stage.trainer.shutDown() }
    let texts = (0..<2).map { stage.site.model.tokens(12, seed: UInt64($0)) }
    for (index, client) in stage.clients.enumerated() {
      try stage.expectExtended(client, 1, texts[index], 0..<5, rowsSeen: 5 * (index + 1))
    }
    var seen = 10
    for token in 5..<12 {
      for (index, client) in stage.clients.enumerated() {
        seen += 1
        try stage.expectExtended(client, 1, texts[index], token..<token + 1, rowsSeen: seen)
      }
    }
  }

  @Test func theLargestOutputsAlone() throws {
    let stage = try Stage<Float>()
    defer { stage.trainer.shutDown() }
    let tokens = stage.site.model.tokens(4, seed: 1)
    let expected = try stage.site.model.lastOutputs(tokens).elements
    let order = expected.indices.sorted { expected[$0] > expected[$1] }.prefix(5)
    let answer = try stage.clients[0].extend(1, from: 0, tokens, largest: 5)
    guard case .extended(1, 4, 4, let indices, let values) = answer else {
      Issue.record("\(answer)")
      return
    }
    #expect(indices.elements.map(Int.init) == Array(order))
    #expect(SmallHostedModel.areAlike(values, Tensor(order.map { expected[$0] }, shape: [1, 5])))
    // As many as there are, or more: all.
    guard case .extended(_, _, _, let none, let all) = try stage.clients[0].extend(2, from: 0, tokens, largest: 20)
    else {
      Issue.record("not extended")
      return
    }
    #expect(none.count == 0 && all.count == 20)
  }

  /// A token whose answer was lost is sent again; tokens count once.
  @Test func tokensThatAreSentAgain() throws {
    let stage = try Stage<Float>()
    defer { stage.trainer.shutDown() }
    let client = stage.clients[0]
    let tokens = stage.site.model.tokens(8, seed: 1)
    try stage.expectExtended(client, 1, tokens, 0..<4, rowsSeen: 4)
    try stage.expectExtended(client, 1, tokens, 4..<5, rowsSeen: 5)
    try stage.expectExtended(client, 1, tokens, 4..<5, rowsSeen: 5)
    try stage.expectExtended(client, 1, tokens, 0..<5, rowsSeen: 5)
    try stage.expectExtended(client, 1, tokens, 0..<7, rowsSeen: 7)
    let others = stage.site.model.tokens(8, seed: 2)
    for range in [0..<4, 0..<8, 5..<7] {
      let refusal = try client.refusal(
        of: .extend(
          session: 1, keyNumber: 1, position: range.lowerBound, largest: 0, tokens: others.slice(rows: range)))
      #expect(refusal.kind == .refused && refusal.reason.contains("other rows"), "\(refusal)")
    }
    // Not where it ended before: it could not be told whether they are the same.
    let refusal = try client.refusal(
      of: .extend(session: 1, keyNumber: 1, position: 0, largest: 0, tokens: tokens.slice(rows: 0..<6)))
    #expect(refusal.reason.contains("must end where they ended before"))
    try stage.expectExtended(client, 1, tokens, 0..<8, rowsSeen: 8)
  }

  /// After a restart, and from beyond what the host has: to be sent again from the beginning, and counted once.
  @Test func aSessionThatIsLost() throws {
    let stage = try Stage<Float>()
    let tokens = stage.site.model.tokens(8, seed: 1)
    try stage.expectExtended(stage.clients[0], 3, tokens, 0..<4, rowsSeen: 4)
    let far = try stage.clients[0].extend(3, from: 6, tokens.slice(rows: 6..<7))
    #expect(far == .sessionLost(session: 3))
    try stage.expectExtended(stage.clients[0], 3, tokens, 4..<5, rowsSeen: 5)
    stage.trainer.shutDown()
    let trainer = stage.site.trainer()
    defer { trainer.shutDown() }
    let client = stage.clients[0].again()
    #expect(try client.extend(3, from: 5, tokens.slice(rows: 5..<6)) == .sessionLost(session: 3))
    let others = stage.site.model.tokens(8, seed: 2)
    #expect(
      try client.refusal(of: .extend(session: 3, keyNumber: 1, position: 0, largest: 0, tokens: others)).reason
        .contains("other rows"))
    try stage.expectExtended(client, 3, tokens, 0..<6, rowsSeen: 6)
    // Closed, it is gone; the host remembers what it counted.
    try client.send(.close(session: 3))
    #expect(try client.extend(3, from: 6, tokens.slice(rows: 6..<7)) == .sessionLost(session: 3))
  }

  /// One text is long, the others beside it are short: it goes on however many have come since it began, also after a restart.
  @Test func aLongTextBesideManyShortOnes() throws {
    let stage = try Stage<Float>()
    let client = stage.clients[0]
    let tokens = stage.site.model.tokens(12, seed: 1)
    try stage.expectExtended(client, 1, tokens, 0..<2, rowsSeen: 2)
    var (seen, position) = (2, 2)
    for session in 2...120 {
      seen += 1
      try stage.expectExtended(client, session, tokens, 0..<1, rowsSeen: seen)
      guard session % 15 == 0, position < 10 else { continue }
      seen += 1
      try stage.expectExtended(client, 1, tokens, position..<position + 1, rowsSeen: seen)
      position += 1
    }
    #expect(position > 8)
    stage.trainer.shutDown()
    let trainer = stage.site.trainer()
    defer { trainer.shutDown() }
    let again = client.again()
    try stage.expectExtended(again, 1, tokens, 0..<position + 1, rowsSeen: seen + 1)
    let refusal = try again.refusal(
      of: .extend(session: 2, keyNumber: 1, position: 0, largest: 0, tokens: tokens.slice(rows: 0..<1)))
    #expect(refusal.reason.contains("number sessions upwards"))
  }

  /// What closes a session does so after what was asked of it before.
  @Test func aSessionThatIsClosedBehindItsLastTokens() throws {
    let stage = try Stage<Float>()
    defer { stage.trainer.shutDown() }
    let client = stage.clients[0]
    let tokens = stage.site.model.tokens(12, seed: 1)
    // Others are under way, so that the worker has something to do when these come.
    for session in 2...8 {
      try client.send(.extend(session: session, keyNumber: 1, position: 0, largest: 0, tokens: tokens))
    }
    try client.send(.extend(session: 1, keyNumber: 1, position: 0, largest: 0, tokens: tokens.slice(rows: 0..<4)))
    try client.send(.close(session: 1))
    try client.connection.wait { message in
      if case .deployment(.extended(1, _, _, _, _)) = message { return () }
      return nil
    }
    #expect(try client.extend(1, from: 4, tokens.slice(rows: 4..<5)) == .sessionLost(session: 1))
  }

  @Test func moreTokensThanTheModelTakes() throws {
    let stage = try Stage<Float>()
    defer { stage.trainer.shutDown() }
    let client = stage.clients[0]
    let tokens = stage.site.model.tokens(13, seed: 1)
    let long = ClientRequest<Float>.extend(session: 1, keyNumber: 1, position: 0, largest: 0, tokens: tokens)
    #expect(try client.refusal(of: long).reason.contains("a session of 13 tokens; this model goes up to 12"))
    try stage.expectExtended(client, 1, tokens, 0..<12, rowsSeen: 12)
    let last = ClientRequest<Float>.extend(
      session: 1, keyNumber: 1, position: 12, largest: 0, tokens: tokens.slice(rows: 12..<13))
    #expect(try client.refusal(of: last).reason.contains("a session of 13 tokens"))
    let absurd = ClientRequest<Float>.extend(
      session: 1, keyNumber: 1, position: 1 << 62, largest: 1 << 62, tokens: tokens.slice(rows: 12..<13))
    #expect(try client.refusal(of: absurd).reason.contains("this model goes up to 12"))
    let wide = ClientRequest<Float>.extend(
      session: 1, keyNumber: 1, position: 0, largest: 0, tokens: Tensor(zeros: [1, 3]))
    #expect(try client.refusal(of: wide).reason.contains("tokens are 3 wide"))
    let bad = ClientRequest<Float>.extend(
      session: 1, keyNumber: 1, position: 0, largest: 0, tokens: Tensor(repeating: .nan, shape: [1, tokens.columns]))
    #expect(try client.refusal(of: bad).reason.contains("NaN"))
  }

  /// Tokens of generation count as rows.
  @Test func rowsThatAreUsedUp() throws {
    let stage = try Stage<Float>(maximumRows: 6)
    defer { stage.trainer.shutDown() }
    let tokens = stage.site.model.tokens(8, seed: 1)
    try stage.expectExtended(stage.clients[0], 1, tokens, 0..<6, rowsSeen: 6)
    let next = ClientRequest<Float>.extend(
      session: 1, keyNumber: 1, position: 6, largest: 0, tokens: tokens.slice(rows: 6..<7))
    #expect(try stage.clients[0].refusal(of: next).reason.contains("6 tokens in all"))
    try stage.expectExtended(stage.clients[0], 1, tokens, 0..<6, rowsSeen: 6)
  }

  /// Under a new key everything is masked anew, and counts anew: the host has not seen it under that key.
  @Test func aKeyThatIsRotatedInTheMiddle() throws {
    let stage = try Stage<Float>()
    defer { stage.trainer.shutDown() }
    let client = stage.clients[0]
    let tokens = stage.site.model.tokens(8, seed: 1)
    try stage.expectExtended(client, 1, tokens, 0..<4, rowsSeen: 4)
    let second = try SmallHostedModel<Float>(.decoder, seed: 2)
    let copy = try stage.site.upload(second)
    _ = try stage.site.deploy(
      stage.id, revision: 2, stage.clients.map { stage.site.entry($0.key, copy, keyNumber: 2) })
    guard case .rekeyed(let terms) = try client.extend(1, from: 4, tokens.slice(rows: 4..<5)) else {
      Issue.record("not rekeyed")
      return
    }
    #expect(terms.keyNumber == 2)
    #expect(
      try client.extend(1, from: 4, tokens.slice(rows: 4..<5), keyNumber: 2) == .sessionLost(session: 1))
    guard
      case .extended(1, 5, 9, _, let values) = try client.extend(1, from: 0, tokens.slice(rows: 0..<5), keyNumber: 2)
    else {
      Issue.record("not extended")
      return
    }
    #expect(SmallHostedModel.areAlike(values, try second.lastOutputs(tokens.slice(rows: 0..<5))))
  }
}
