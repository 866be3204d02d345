import Datasets
package import Families
import Foundation
import JobSpec
import Models
package import Numerics

/// The samples of a file to ask a deployed model about, read a question at a time from any row on.
package struct QuestionSource: Sendable {
  enum Samples: Sendable {
    case features(any FeatureSource)
    case tokens(TokenSource)
  }

  let samples: Samples
  /// Tokens of the longest sample; nil where samples are rows.
  package let longest: Int?
  /// Columns of a file of tokens; nil where samples are rows.
  let columns: Int?

  package var rows: Int {
    switch samples {
    case .features(let source): source.rows
    case .tokens(let source): source.rows
    }
  }

  /// Opens a file that is laid out as the training data.
  ///
  /// - Parameters:
  ///   - features: where the features or token ids are, if not where the training data had them.
  ///   - maximumTokens: of a sample; nil for as many as the file has.
  /// - Throws: `DatasetError`; `OwnerError.unfitData` when the samples do not fit the model.
  package init(_ shape: QuestionShape, file path: String, features: String?, maximumTokens: Int? = nil) throws {
    let file = try HDF5File(path: path)
    switch (shape.inputs, shape.tokens) {
    case (.tokens(let trained), let tokens?):
      let source = try file.openTokens(
        ids: features ?? trained.ids, mask: trained.mask, types: trained.types, limits: tokens.limits)
      samples = .tokens(source)
      let lengths = try source.readLengths()
      longest = lengths.max().map { Int($0) }
      columns = source.columns
      if let maximumTokens, let row = lengths.firstIndex(where: { $0 > maximumTokens }) {
        throw OwnerError.unfitData(
          "\(path): '\(features ?? trained.ids)': row \(row) has \(lengths[row]) tokens, and the deployment takes at most "
            + "\(maximumTokens); truncate the texts, or ask its owner to deploy it with a larger --max-tokens")
      }
    case (.features(let trained), nil):
      let place = features ?? trained
      let source = try file.openFeatures(path: place)
      longest = nil
      columns = nil
      if let expected = shape.columns {
        samples = .features(try SampleSource.aligned(source, expected, file, place))
      } else {
        guard source.columns == shape.features else {
          throw OwnerError.unfitData("the data has \(source.columns) features, the model takes \(shape.features)")
        }
        samples = .features(source)
      }
    default: throw OwnerError.run("the description of the deployed model contradicts itself")
    }
    // Noise is drawn by row.
    guard rows <= Int(Int32.max) else {
      throw OwnerError.unfitData("\(path) has \(rows) rows; at most \(Int32.max) are asked about at once")
    }
  }
}

extension QuestionSource {
  /// The first samples, whole in memory.
  ///
  /// - Parameters:
  ///   - count: at least 1; fewer where there are no more.
  ///   - standardization: nil for a model without.
  /// - Throws: `DatasetError`; `OwnerError.unfitData` for a source without samples.
  package func first(_ count: Int, standardization: Standardization?) throws -> QuestionContent {
    var reader = try QuestionReader(
      self, from: 0, rowsPerQuestion: max(1, min(count, rows)), standardization: standardization)
    guard let content = try reader.question() else { throw OwnerError.unfitData("the file has no rows to ask about") }
    return content
  }
}

/// What a question is about, before it is masked.
package enum QuestionContent: Sendable {
  /// [n, d], standardised.
  case features(Tensor<Float>)
  case tokens([[Token]])

  package var rows: Int {
    switch self {
    case .features(let rows): rows.rows
    case .tokens(let samples): samples.count
    }
  }

  /// Tokens of all samples, or rows.
  var inputRows: Int {
    switch self {
    case .features(let rows): rows.rows
    case .tokens(let samples): samples.reduce(0) { $0 + $1.count }
    }
  }
}

/// Reads a source question by question, in the file's own blocks and one of them ahead, so that each of its chunks is inflated once.
struct QuestionReader {
  private let blocks: BlockReader<QuestionContent>
  private let rows: Int
  private let rowsPerQuestion: Int
  private var next: Int
  private var block: BlockReader<QuestionContent>.Block?

  /// - Parameters:
  ///   - first: the row that the next question begins with.
  ///   - standardization: nil for a model without.
  init(
    _ source: QuestionSource, from first: Int, rowsPerQuestion: Int, standardization: Standardization?
  ) throws {
    rows = source.rows
    next = first
    self.rowsPerQuestion = rowsPerQuestion
    switch source.samples {
    case .features(let features):
      let standardized = try features.standardized(by: standardization)
      blocks = BlockReader(rows: features.rows, rowsPerBlock: features.preferredRowBlock, from: first) {
        .features(try standardized.values(rows: $0))
      }
    case .tokens(let tokens):
      blocks = BlockReader(rows: tokens.rows, rowsPerBlock: tokens.preferredRowBlock, from: first) { range in
        let block = try tokens.read(rows: range)
        return .tokens((0..<range.count).map { block.tokens(ofRow: $0) })
      }
    }
  }

  /// - Returns: nil after the last row.
  mutating func question() throws -> QuestionContent? {
    guard next < rows else { return nil }
    let range = next..<min(rows, next + rowsPerQuestion)
    next = range.upperBound
    var parts: [QuestionContent] = []
    var start = range.lowerBound
    while start < range.upperBound {
      let present = try blockHolding(start)
      let end = min(range.upperBound, present.rows.upperBound)
      parts.append(present.content.rows(start - present.rows.lowerBound..<end - present.rows.lowerBound))
      start = end
    }
    return QuestionContent(joining: parts)
  }

  /// Rows are asked for in order.
  private mutating func blockHolding(_ row: Int) throws -> BlockReader<QuestionContent>.Block {
    while true {
      if let block, block.rows.contains(row) { return block }
      guard let following = try blocks.next() else {
        throw OwnerError.unfitData("the data has no row \(row), which it had before")
      }
      block = following
    }
  }
}

extension QuestionContent {
  fileprivate func rows(_ range: Range<Int>) -> QuestionContent {
    switch self {
    case .features(let rows): .features(rows.slice(rows: range))
    case .tokens(let samples): .tokens(Array(samples[range]))
    }
  }

  fileprivate init(joining parts: [QuestionContent]) {
    if parts.count == 1, let only = parts.first {
      self = only
      return
    }
    var numbers: [Float] = []
    var samples: [[Token]] = []
    var columns = 0
    for part in parts {
      switch part {
      case .features(let rows):
        numbers += rows.elements
        columns = rows.columns
      case .tokens(let part): samples += part
      }
    }
    self =
      samples.isEmpty
      ? .features(Tensor(numbers, shape: [numbers.count / max(1, columns), columns])) : .tokens(samples)
  }
}
