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
