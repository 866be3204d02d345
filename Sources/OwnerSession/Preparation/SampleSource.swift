package import Datasets

/// What a job's samples are made of.
package enum SampleSource: Sendable {
  case features(any FeatureSource)
  case tokens(TokenInputs)

  package var rows: Int {
    switch self {
    case .features(let source): source.rows
    case .tokens(let tokens): tokens.source.rows
    }
  }
}
