internal import Architecture

/// The secret orders in which the tokens of samples are sent during one pass over the rows: fresh for every sample and every
/// pass, and the same again for a resumed run.
///
/// For models to which the order of tokens says nothing (equivariance, section 3). All orders are equally likely: Fisher–Yates
/// with rejection. A sample's stream is a substream of the pass's, so that drawing one costs no key derivation.
package struct TokenOrder: Sendable {
  private let streams: @Sendable (_ sample: Int) -> KeyStream

  /// - Parameter pass: which pass over the rows this is, an epoch's number or another that no other pass of the job has.
  package init(master: MasterKey, pass: Int) {
    streams = master.stream(SpaceID("tokens"), kind: "pass \(pass)").substreams()
  }

  /// The position in the sample of each token that is sent.
  ///
  /// The array is not zeroed when freed, no more than the tokens themselves are.
  ///
  /// - Parameters:
  ///   - sample: the sample's slot in the pass, at least 0.
  ///   - tokens: its tokens, at least 0.
  package func order(sample: Int, tokens: Int) -> [Int] {
    streams(sample).permutation(tokens)
  }
}
