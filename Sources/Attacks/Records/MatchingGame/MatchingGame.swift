package import Exposure
package import Tensors

/// Which of two data sets was used? The attacker knows both in plaintext and sees one of them masked, its records in any order.
///
/// The guess compares what no key of the group changes (`SetInvariants`). The game is that of indistinguishability under a chosen plaintext
/// (Katz and Lindell, Introduction to Modern Cryptography, 3rd ed. 2020, section 3.4), with data sets for messages: an encryption worth
/// the name leaves a coin to be tossed.
package struct MatchingGame: Attack {
  package static let facts = AttackFacts(
    kind: .matchingGame, title: "Matching game",
    knowledge: "two candidate data sets in plaintext, one of which was used",
    metric: "share of right guesses", isWorseWhenHigher: true,
    source: "Katz, Lindell, Introduction to Modern Cryptography, 2020, section 3.4 (the game)")

  private let workers: Workers
  private let recordsOfSet: Int
  private let games: Int

  package init(workers: Workers, recordsOfSet: Int = 64, games: Int = 400) {
    self.workers = workers
    self.recordsOfSet = recordsOfSet
    self.games = games
  }

  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> MatchingGames {
    let view = evidence.masked
    let known = truth.rows.columns + (view.inputLayout == nil ? 0 : 1)
    guard known <= view.inputs.columns else { throw Inapplicable("masked rows are narrower than the plaintext") }
    let records = Records(rows: truth.rows, lengths: view.lengths)
    var seen = Set<[Float]>()
    let distinct = (0..<records.count).filter { seen.insert(records.content($0)).inserted }
    let size = min(recordsOfSet, distinct.count / 2)
    guard size >= 4 else { throw Inapplicable("there are too few records for two sets") }
    // The pool's order is secret, so that a place in it says nothing of a row's number.
    let rowOfPlace = distinct.shuffled(using: &random)
    let drawn = (0..<games).map { _ in
      let places = Array(rowOfPlace.indices.shuffled(using: &random).prefix(2 * size))
      let (first, second) = (Array(places[..<size]), Array(places[size...]))
      let used = Bool.random(using: &random) ? first : second
      return MatchingGames.Game(
        first: first, second: second, shown: used.map { rowOfPlace[$0] }.shuffled(using: &random))
    }
    return MatchingGames(pool: records.picking(rowOfPlace), games: drawn)
  }

  package func attempt(
    on view: ProviderView, knowing games: MatchingGames, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws -> MatchingGuesses {
    let masked = view.records
    let pool = Records(
      vectors: games.pool.lifted(to: masked.vectors.columns, view.inputLayout), lengths: games.pool.lengths)
    var guesses: [MatchingGuesses.Guess] = []
    for game in games.games where !deadline.hasPassed {
      let shown = SetInvariants(masked.picking(game.shown), group: view.inputGroup, workers: workers)
      let first = SetInvariants(pool.picking(game.first), group: view.inputGroup, workers: workers)
      let second = SetInvariants(pool.picking(game.second), group: view.inputGroup, workers: workers)
      let lead = shown.likeness(of: first, over: second)
      let byLengths =
        first.hasLengths(of: shown) == second.hasLengths(of: shown) ? 0 : first.hasLengths(of: shown) ? 1 : -1
      let coin = Bool.random(using: &random)
      guesses.append(
        .init(
          isFirst: byLengths != 0 ? byLengths > 0 : lead == 0 ? coin : lead > 0,
          isFirstByVectors: lead == 0 ? coin : lead > 0))
    }
    return MatchingGuesses(games: games, guesses: guesses, lengths: view.lengths)
  }

  package func score(_ claim: MatchingGuesses, truth: OwnerTruth) -> Measurement {
    let records = Records(rows: truth.rows, lengths: claim.lengths)
    var (right, rightByVectors) = (0, 0)
    for (game, guess) in zip(claim.games.games, claim.guesses) {
      guard let shown = game.shown.first else { continue }
      let content = records.content(shown)
      let isFirst = game.first.contains { claim.games.pool.content($0) == content }
      if guess.isFirst == isFirst { right += 1 }
      if guess.isFirstByVectors == isFirst { rightByVectors += 1 }
    }
    let played = claim.guesses.count
    let size = Double(claim.games.games.first?.first.count ?? 0)
    guard played > 0 else { return Measurement(value: nil, interval: nil, chance: 0.5, rows: records.count) }
    var details: [Measurement.Detail] = [.init("records of a set", size), .init("games", Double(played))]
    if claim.lengths != nil {
      details.append(.init("share of right guesses without the lengths", Double(rightByVectors) / Double(played)))
    }
    return Measurement(
      value: Double(right) / Double(played), interval: .wilson(successes: right, trials: played), chance: 0.5,
      rows: records.count, details: details)
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    guard let value = measurement.value else { return "There was no time for a single game." }
    if let interval = measurement.interval, interval.lower <= 0.5, interval.upper >= 0.5 {
      return "Given two data sets, this attack could not tell which of them was masked."
    }
    let share = Int((100 * value).rounded())
    return
      "Who has two data sets tells which of them was masked in \(share) % of cases: a suspicion about the data can be checked."
  }
}
