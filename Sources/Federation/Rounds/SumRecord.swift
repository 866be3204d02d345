import Foundation

/// A sum that is done, as `rounds.jsonl` of the aggregator and `history.jsonl` of every site keep it: sums over sites only.
package struct SumRecord: Codable, Sendable, Equatable {
  enum CodingKeys: String, CodingKey {
    case purpose, cohort, survivors, weight, means, model, seconds, attempt
    case trainingRows = "training_rows"
    case validationRows = "validation_rows"
    case sum
  }

  /// A name of `SumPurpose`.
  package let purpose: String
  /// Number of the sum, and which attempt at its purpose it was.
  package let sum: UInt64
  package let attempt: Int
  /// Names of the sites that were asked, and of those whose upload is in the sum, in the charter's order.
  package let cohort: [String]
  package let survivors: [String]
  /// Σ w, training and validation rows of all sites in the sum; 0 where the sum is of something else.
  package var weight = 0
  package var trainingRows = 0
  package var validationRows = 0
  /// Means over the sites in the sum (`SiteStatistics.means`).
  package var means: [String: Double] = [:]
  /// SHA-256, in hexadecimal, of the model that the sum led to; empty where it led to none.
  package var model = ""
  package let seconds: Double

  package init(
    purpose: SumPurpose, sum: UInt64, attempt: Int, cohort: [String], survivors: [String], seconds: Double
  ) {
    self.purpose = purpose.description
    self.sum = sum
    self.attempt = attempt
    self.cohort = cohort
    self.survivors = survivors
    self.seconds = seconds
  }
}

extension SumRecord {
  /// As a line of JSON, without its end.
  package var line: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Text and finite numbers always encode; a mean that is not finite is refused where sums are decoded.
    return String(decoding: (try? encoder.encode(self)) ?? Data("{}".utf8), as: UTF8.self)
  }

  /// Nil for what is no such line.
  package init?(line: String) {
    guard let record = try? JSONDecoder().decode(SumRecord.self, from: Data(line.utf8)) else { return nil }
    self = record
  }
}
