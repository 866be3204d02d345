import Families
import Foundations
import Masking
import Models
import Numerics
import Protocol

/// The prompts of a file, checked before anything is sent: how many tokens each may be continued by.
struct Prompts {
  /// New tokens of a text where nothing is said.
  static let usualTokens = 64

  private let source: QuestionSource
  private let mostTokens: Int?
  private let maximumTokens: Int

  var rows: Int { source.rows }

  /// Reads all of them.
  ///
  /// - Parameters:
  ///   - mostTokens: new tokens of a text; nil for 64, or as many as the deployment leaves room for.
  ///   - elementBytes: of a number in a message.
  /// - Throws: `OwnerError.run` for a deployment that generates no text; `.unfitData` naming the row that leaves no room; `DatasetError` naming row and
  ///   column of what is no token of the model's.
  init(_ source: QuestionSource, _ shape: QuestionShape, mostTokens: Int?, elementBytes: Int) throws {
    let tokens = try Self.check(shape)
    self.source = source
    self.mostTokens = mostTokens
    maximumTokens = tokens.maximumTokens
    var reader = try reader(from: 0)
    var row = 0
    var longest = 0
    while let prompt = try Self.prompt(&reader) {
      guard prompt.count <= maximumTokens - (mostTokens ?? 1) else { throw tooLong(row, prompt.count) }
      longest = max(longest, prompt.count + limit(for: prompt))
      row += 1
    }
    let bytes = longest * shape.input.width * elementBytes
    guard bytes <= WireLimits().tensorBytes else {
      throw OwnerError.unfitData(
        "a text of \(longest) tokens takes \(ByteSize.decimalText(bytes)), more than a message may have; shorten the prompts, or lower --max-tokens"
      )
    }
  }

  /// - Throws: `OwnerError.run` for a deployment that generates no text.
  @discardableResult
  static func check(_ shape: QuestionShape) throws(OwnerError) -> TokenQuestionShape {
    guard shape.task == .causalLanguageModel, let tokens = shape.tokens else {
      throw .run(
        "this deployment answers questions (task \(shape.task.rawValue)) and generates no text; ask it with `encryptor query`"
      )
    }
    guard shape.outputs <= tokens.vocabulary else {
      throw .run("the description of the deployed model contradicts itself; ask its owner for the directory again")
    }
    return tokens
  }

  private func tooLong(_ row: Int, _ count: Int) -> OwnerError {
    .unfitData(
      "row \(row): the prompt has \(count) tokens"
        + (mostTokens.map { ", and --max-tokens asks for \($0) more" } ?? ", which leaves no room for one more")
        + "; the deployment takes at most \(maximumTokens) with the continuation: "
        + (mostTokens == nil ? "shorten it" : "shorten it, or lower --max-tokens"))
  }

  /// New tokens of a text.
  func limit(for prompt: [Token]) -> Int {
    mostTokens ?? min(Self.usualTokens, maximumTokens - prompt.count)
  }

  func reader(from row: Int) throws -> QuestionReader {
    try QuestionReader(source, from: row, rowsPerQuestion: 1, standardization: nil)
  }

  /// The next one; nil after the last.
  static func prompt(_ reader: inout QuestionReader) throws -> [Token]? {
    guard case .tokens(let samples)? = try reader.question() else { return nil }
    return samples.first
  }
}
