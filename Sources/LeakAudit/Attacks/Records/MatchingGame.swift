import Models
import Foundation
package import Numerics

/// Which of two data sets was used? The attacker knows both in plaintext and sees one of them masked, its records in any order.
///
/// The guess compares what no key of the group changes (`SetInvariants`). The game is that of indistinguishability under a chosen plaintext
/// (Katz and Lindell, Introduction to Modern Cryptography, 3rd ed. 2020, section 3.4), with data sets for messages: under an
/// encryption that meets this definition a guess is right half of the time.
package struct MatchingGame: Attack {
  package static let facts = AttackFacts(
    kind: .matchingGame, title: "Matching game",
    knowledge: "two candidate data sets in plaintext, one of which was used",
    metric: "share of right guesses", isWorseWhenHigher: true,
    source: "Katz, Lindell, Introduction to Modern Cryptography, 2020, section 3.4 (the game)")

  private let compute: Compute
  private let recordsOfSet: Int
  private let games: Int

  package init(compute: Compute, recordsOfSet: Int = 64, games: Int = 400) {
    self.compute = compute
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
    return MatchingGames(pool: records.selecting(rowOfPlace), games: drawn)
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
      let shown = SetInvariants(masked.selecting(game.shown), group: view.inputGroup, compute: compute)
      let first = SetInvariants(pool.selecting(game.first), group: view.inputGroup, compute: compute)
      let second = SetInvariants(pool.selecting(game.second), group: view.inputGroup, compute: compute)
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

/// What the attacker knows of the games: plaintext records, and which of them make the two sets of each.
package struct MatchingGames: Sendable {
  struct Game: Sendable {
    /// Places in the pool.
    let first: [Int]
    let second: [Int]
    /// Numbers of the masked records of the set that was used, in any order.
    let shown: [Int]
  }

  /// In an order of their own.
  let pool: Records
  let games: [Game]
}

/// The guesses, as many as there was time for.
package struct MatchingGuesses: Sendable {
  struct Guess: Sendable {
    let isFirst: Bool
    /// Without looking at how many rows each record has.
    let isFirstByVectors: Bool
  }

  let games: MatchingGames
  let guesses: [Guess]
  /// Of the view's samples: how its rows make records.
  let lengths: [Int32]?
}

/// What a key leaves of a set of records in any order.
struct SetInvariants {
  private let norms: [Double]
  /// `[n, n − 1]`: of each record the squared distances to the others, in ascending order.
  private let profiles: Tensor<Double>
  /// All squared distances, in ascending order.
  private let distances: [Double]
  /// Squared singular values of the centred records, ascending; empty where they could not be had.
  private let spectrum: [Double]
  /// Sorted or plain values; nil where a key leaves only the norm.
  private let signatures: Tensor<Double>?
  private let lengths: [Int32]
  private let compute: Compute

  /// - Parameter records: masked, or as a key would act on them.
  init(_ records: Records, group: SymmetryGroup, compute: Compute) {
    let vectors = records.vectors
    let count = vectors.rows
    self.compute = compute
    norms = vectors.squaredNorms
    lengths = records.lengths.sorted()
    let own = RecordSignatures(vectors, group: group, compute: compute)
    signatures = own.areNorms ? nil : own.values
    let table = vectors.squaredDistances(to: vectors, compute: compute)
    let sorted = (0..<count).map { row in
      (0..<count).filter { $0 != row }.map { table[row * count + $0] }.sorted()
    }
    profiles = Tensor(sorted.flatMap { $0 }, shape: [count, max(0, count - 1)])
    distances = sorted.flatMap { $0 }.sorted()
    // −½ J D J is the Gram matrix of the centred records.
    let means = (0..<count).map { row in (0..<count).reduce(0.0) { $0 + table[row * count + $1] } / Double(count) }
    let mean = means.reduce(0, +) / Double(max(1, count))
    var gram = Tensor<Double>(zeros: [count, count])
    for row in 0..<count {
      for column in 0..<count {
        gram[row * count + column] = -(table[row * count + column] - means[row] - means[column] + mean) / 2
      }
    }
    spectrum = (try? SymmetricEigenvectors(of: gram).values) ?? []
  }

  func hasLengths(of other: SetInvariants) -> Bool { lengths == other.lengths }

  /// How much more this looks like `first` than like `second`: the sum over invariants of the logarithms of how much farther off the second
  /// is. 0 where nothing tells them apart.
  func likeness(of first: SetInvariants, over second: SetInvariants) -> Double {
    zip(deviations(from: first), deviations(from: second)).reduce(0) { sum, pair in sum + log(pair.1 / pair.0) }
  }

  /// Sums of squares, each above what rounding leaves.
  private func deviations(from plain: SetInvariants) -> [Double] {
    // Noise makes all distances longer by as much.
    let longer = max(0, Self.mean(distances) - Self.mean(plain.distances))
    let scale = 1e-6 * (Self.mean(norms) + Self.mean(plain.norms))
    let floor = scale * scale * Double(max(1, distances.count))
    var sums = [
      Self.sum(distances, plain.distances, shift: longer),
      Self.sum(norms.sorted(), plain.norms.sorted(), shift: longer / 2),
      Self.sum(spectrum, plain.spectrum, shift: longer / 2),
      assigned(profiles.shifted(by: -longer), plain.profiles),
    ]
    if let signatures, let other = plain.signatures { sums.append(assigned(signatures, other)) }
    return sums.map { $0 + floor }
  }

  private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }

  private static func sum(_ seen: [Double], _ plain: [Double], shift: Double) -> Double {
    zip(seen, plain).reduce(0) { $0 + ($1.0 - shift - $1.1) * ($1.0 - shift - $1.1) }
  }

  /// The least sum of squares when each record is taken for another.
  private func assigned(_ seen: Tensor<Double>, _ plain: Tensor<Double>) -> Double {
    guard seen.rows == plain.rows, seen.rows > 0 else { return 0 }
    var scores = seen.squaredDistances(to: plain, compute: compute)
    scores.withUnsafeMutableBufferPointer { elements in
      for index in elements.indices { elements[index] = -elements[index] }
    }
    return LinearAssignment.maximum(scores).enumerated()
      .reduce(0) { $0 - scores[$1.offset * seen.rows + $1.element] }
  }
}

extension Tensor<Double> {
  fileprivate func shifted(by amount: Double) -> Tensor {
    var result = self
    result.withUnsafeMutableBufferPointer { elements in
      for index in elements.indices { elements[index] += amount }
    }
    return result
  }
}
