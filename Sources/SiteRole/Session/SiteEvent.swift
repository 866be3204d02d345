package import Federation
package import Numerics
import OwnerRole
package import Protocol

/// What a site's session tells whoever watches it.
package enum SiteEvent: Sendable {
  case waiting(String)
  /// The aggregator answers.
  case connected(software: String)
  case lost(String)
  /// What keeps the federation from going on, as the aggregator says it.
  case obstacle(String)
  /// Nothing has been asked of the site for so long; `sent` is what it sent last, nil for nothing yet, and `awaited` whom the aggregator waits for, nil where
  /// it has not said.
  case idle(Duration, sent: SumPurpose?, awaited: AwaitedSites?)
  /// Batches of a private run are drawn, all of them before it begins.
  case planning(done: Int, total: Int)
  /// A sum was asked for, and the site works on its part.
  case began(SumPurpose)
  /// Local steps of a round.
  case advanced(done: Int, total: Int)
  case sent(SumPurpose, entries: Int)
  /// An update is counted, and may leave.
  case spent(SpentPrivacy)
  /// How a round's model does on the site's own rows, where sums have no scores.
  case scored(OwnScore)
  /// The aggregator went on without this site's upload.
  case leftOut(reason: String)
  case recorded(SumRecord)
  /// Two sums are of the same sites but for this one, so that their difference tells about it.
  case differing(site: String, purposes: [String])
  case result(FederationResult)
}

extension AggregatorAnswer: ServerAnswer {
  package var greeting: AggregatorGreeting? {
    if case .welcome(let greeting) = self { return greeting }
    return nil
  }

  package init(_ conversation: ConversationAnswer) {
    self = .conversation(conversation)
  }
}

/// How a session behaves, apart from its federation.
package struct SiteOptions: Sendable {
  package var compute: Compute
  /// How long to wait for an aggregator that is not there.
  package var patience: Duration = .seconds(600)
  package var software: String
  /// The aggregator, as errors name it.
  package var peer: String
  /// Silence after which a connected aggregator counts as gone.
  package var silence: Duration = .seconds(30)

  package init(compute: Compute, software: String, peer: String = "the aggregator") {
    self.compute = compute
    self.software = software
    self.peer = peer
  }
}
