import Tensors

/// One tensor of an optimizer's memory, as checkpoints name it: "momentum.layers.0.weight".
struct OptimizerStateTensor<Element: FloatingElement> {
  let name: String
  let shape: [Int]
  let buffer: MatrixBuffer<Element>
}
