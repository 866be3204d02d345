import Families
import Models
import Datasets
import Foundation
import Protocol
import Testing
import TestSupport

@testable import OwnerRole

/// `data.labels` beside `task: causal-lm`: which tokens of a text are learned, and as what.
@Suite struct LanguageModelLabelTests {
  private let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private func prepared(_ labels: String?, _ data: TokenData) throws -> PreparedJob {
    let job = try TokenJob().changing {
      ($0.family, $0.task, $0.languageModelLabels) = (.llama, .causalLanguageModel, labels)
    }.resolved(on: data)
    return try PreparedJob(job: job, secret: try OrderSecret(ephemeralWithSeed: 1))
  }

  /// Tokens of each row with their targets, in the order of the file.
  private func targets(_ labels: String?, _ data: TokenData) throws -> [(ids: [Int32], targets: [Int32])] {
    guard case .tokens(let inputs) = try prepared(labels, data).source else { throw OwnerError.unfitJob("no tokens") }
    var rows: [(ids: [Int32], targets: [Int32])] = []
    try inputs.forEachSample { _, sample in
      rows.append((sample.map(\.id), inputs.settings.targets(of: sample)))
    }
    return rows
  }

  /// `tags` has −100 for an id that leaves 3 when divided by 4, else the id's remainder by 3: a token's target is its successor's.
  @Test func labelsSayWhatCountsAndAsWhat() throws {
    let data = try TokenData(in: directory)
    let rows = try targets("tags", data)
    #expect(rows.count == 30)
    for row in rows {
      let expected = row.ids.dropFirst().map { $0 % 4 == 3 ? -1 : $0 % 3 } + [-1]
      #expect(row.targets.map { $0 < 0 ? -1 : $0 } == expected)
    }
    // The last of each row, and more.
    #expect(rows.reduce(0) { $0 + $1.targets.count { $0 < 0 } } > rows.count)
  }

  @Test func withoutLabelsEachTokenIsLearned() throws {
    for row in try targets(nil, try TokenData(in: directory)) {
      #expect(row.targets == row.ids.dropFirst() + [-1])
    }
  }

  @Test func labelsThatDoNotExistAreRefused() throws {
    let data = try TokenData(in: directory)
    let error = try #require(throws: DatasetError.self) { _ = try prepared("prompts", data) }
    #expect(error.reason == .missingObject)
  }

  /// One label a row is no label for each token.
  @Test func labelsOfRowsAreRefused() throws {
    let data = try TokenData(in: directory)
    #expect(throws: DatasetError.self) { _ = try prepared("labels", data) }
  }
}
