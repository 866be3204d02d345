import Models
import Numerics

@testable import Training

/// From tokens to samples: the mean of a sample's tokens plus the pooled one.
struct MeanLayer: Layer {
  let name = "mean"
  let parameters: [ParameterSpecification] = []
  let constraints: [SpaceConstraint] = []
  let inputs: [Int]
  let output: Int
  let keptColumns = 0
  let valuesReadBackward: [Int] = []

  func forward<Element: FloatingElement>(_ pass: ForwardPass<Element>) {
    guard let sequences = pass.sequences else { return }
    let (input, output) = (pass.inputs[0], pass.output)
    for sample in 0..<sequences.samples {
      let tokens = sequences.range(ofSample: sample)
      for column in 0..<input.columns {
        var sum: Element = 0
        for token in tokens { sum += input.base[token * input.stride + column] }
        output.base[sample * output.stride + column] =
          sum / Element(tokens.count) + input.base[sequences.pooled[sample] * input.stride + column]
      }
    }
  }

  func backward<Element: FloatingElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let sequences = pass.sequences, let target = pass.inputGradients[0] else { return 0 }
    for sample in 0..<sequences.samples {
      let tokens = sequences.range(ofSample: sample)
      for token in tokens {
        for column in 0..<target.view.columns {
          let gradient = pass.outputGradient.base[sample * pass.outputGradient.stride + column]
          let place = target.view.base + token * target.view.stride + column
          let share = gradient / Element(tokens.count) + (token == sequences.pooled[sample] ? gradient : 0)
          place.pointee = share + (target.accumulates ? place.pointee : 0)
        }
      }
    }
    return 0
  }
}
