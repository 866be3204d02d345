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
