import Files
import Foundation
import OwnerRole

/// How the model of a round does on a site's own validation rows, where sites send no scores: kept by the site for itself, and without noise.
package struct OwnScore: Codable, Sendable, Equatable {
  /// Rounds that the model has had.
  package let rounds: Int
  package let validationRows: Int
  /// `validation_loss`, and each metric that the rows define.
  package let values: [String: Double]

  package enum CodingKeys: String, CodingKey {
    case rounds, values
    case validationRows = "validation_rows"
  }
}

/// `own_scores.jsonl` of a run directory: a line for each model, in the order of rounds.
package struct OwnScoreFile {
  private let log: LineLog
  package private(set) var scores: [OwnScore]

  /// Opens or creates the file; a torn last line, left by a kill, is dropped.
  ///
  /// - Throws: `OwnerError.run` for a line that is no score; `FileError`.
  package init(_ directory: SiteDirectory) throws {
    let path = directory.ownScores.path
    log = try LineLog(path: path)
    scores = try LineLog.lines(of: path).map { line in
      guard let score = try? JSONDecoder().decode(OwnScore.self, from: Data(line.utf8)) else {
        throw OwnerError.run("\(path) holds a line that is no score")
      }
      return score
    }
  }

  /// A model that is scored already is not written again.
  mutating func append(_ score: OwnScore) throws {
    guard !scores.contains(where: { $0.rounds == score.rounds }) else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    try log.append(String(decoding: try encoder.encode(score), as: UTF8.self))
    try log.sync()
    scores.append(score)
  }
}
