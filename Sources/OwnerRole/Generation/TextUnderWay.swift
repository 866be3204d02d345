import Families
import Masking
import Numerics

/// A text that is being continued, as far as one masking key and one session go.
struct TextUnderWay<Element: FloatingElement> {
  /// Of the prompt in its file.
  let row: Int
  let prompt: [Token]
  let session: Int
  let keyNumber: Int
  /// After the prompt.
  private(set) var tokens: [Int32]
  private var masker: TextMasker<Element>
  private let draws: TokenDraws
  /// The token that the next message begins with; those before it are at the host, as far as is known.
  private var start = 0
  /// Whether all outputs are to be asked for, because the largest did not decide.
  private var needsAllOutputs = false

  /// - Parameters:
  ///   - tokens: that were chosen before, none of which ends the text.
  ///   - masker: for this session, of no tokens.
  init(
    row: Int, prompt: [Token], tokens: [Int32], session: Int, keyNumber: Int, masker: TextMasker<Element>, seed: Int
  ) throws {
    self.row = row
    self.prompt = prompt
    self.tokens = tokens
    self.session = session
    self.keyNumber = keyNumber
    self.masker = masker
    draws = TokenDraws(seed: seed, row: row, skipped: tokens.count)
    try self.masker.append(prompt)
    for (place, token) in tokens.enumerated() { try self.masker.append([Self.token(token, at: prompt.count + place)]) }
  }

  private static func token(_ id: Int32, at position: Int) -> Token {
    Token(id: id, position: Int32(truncatingIfNeeded: position))
  }

  // MARK: - Asking

  struct Step: NumberedQuestion {
    let row: Int
    let number: Int
    /// Of the first token that is sent, and how many the session has with the last.
    let position: Int
    let end: Int
    /// Outputs asked for, 0 for all.
    let largest: Int
  }

  func step(_ sampling: TokenSampling) -> (step: Step, rows: Tensor<Element>) {
    let largest = needsAllOutputs ? 0 : sampling.logitsNeeded
    return (
      Step(row: row, number: session, position: start, end: masker.count, largest: largest), masker.rows(from: start)
    )
  }

  /// The host does not have what came before: everything is sent again.
  mutating func startAgain() {
    start = 0
  }

  // MARK: - Answers

  /// - Parameter largest: that were asked for.
  /// - Returns: the logits, unmasked.
  /// - Throws: `OwnerError.protocolViolation` for outputs that cannot be.
  func logits(_ indices: Tensor<Int32>, _ values: Tensor<Element>, largest: Int, outputs: Int) throws -> [TokenLogit] {
    let expected = (1..<outputs).contains(largest) ? largest : outputs
    guard values.shape == [1, expected], indices.count == (expected < outputs ? expected : 0), values.allFinite,
      Set(indices.elements).count == indices.count, indices.elements.allSatisfy({ (0..<outputs).contains(Int($0)) })
    else {
      throw OwnerError.protocolViolation(
        "outputs of shape \(values.shape) with \(indices.count) places, or that are not finite")
    }
    let tokens: [Int32]
    let plain: Tensor<Element>
    if indices.count == 0 {
      tokens = (0..<Int32(truncatingIfNeeded: outputs)).map { $0 }
      plain = try masker.keys.unmaskOutputs(values)
    } else {
      tokens = try masker.keys.unmaskClasses(indices.elements)
      plain = values
    }
    return zip(tokens, plain.elements).map { TokenLogit(token: $0, value: Double($1)) }
  }

  /// - Returns: the next token; nil where all outputs are to be asked for first.
  mutating func choose(_ sampling: TokenSampling, _ logits: [TokenLogit], outputs: Int) -> Int32? {
    needsAllOutputs = sampling.isUndecided(logits.sorted(), of: outputs)
    return needsAllOutputs ? nil : sampling.choose(logits, uniform: draws.next())
  }

  /// Takes a token that goes on with the text, to be sent next.
  mutating func append(_ token: Int32) throws {
    start = masker.count
    try masker.append([Self.token(token, at: prompt.count + tokens.count)])
    tokens.append(token)
  }
}
