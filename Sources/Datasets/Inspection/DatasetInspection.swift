/// One dataset of a file.
package struct DatasetInspection: Codable, Sendable, Equatable {
  package struct Field: Codable, Sendable, Equatable {
    package let name: String
    package let type: String
    /// NaNs of a float field; nil for other types.
    package let missing: Int?
    /// Where the names are that its integer codes stand for, in AnnData's older layout.
    package let categories: String?
  }

  package let path: String
  /// nil when it cannot be told without opening other files.
  package let shape: [Int]?
  package let type: String
  package let layout: String
  package let chunks: [Int]?
  package let filters: [String]
  /// NaNs of a float dataset; nil for other types and where rows cannot be read.
  package let missing: Int?
  /// Of a compound dataset, in the stored order.
  package let fields: [Field]
  package let categories: String?
  package let attributes: [String: String]
  /// How often a chunk is inflated in one pass; more than 1 is worth rewriting the file with other chunks.
  package let inflationsPerChunk: Int?
  /// Why a job cannot read it; nil when it can.
  package let refusal: String?
}
