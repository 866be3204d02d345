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
