/// A tensor in a file, under the name it has there.
struct StoredPlace: Sendable {
  let file: SafetensorsFile
  let name: String

  var entry: SafetensorsEntry? { file.entry(name) }
}
