import Architecture

extension Model {
  init(llama description: TransformerDescription) throws(TrainingError) {
    throw .invalidModel("Llama models are not built yet")
  }
}
