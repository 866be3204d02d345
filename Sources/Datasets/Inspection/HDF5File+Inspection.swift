extension HDF5File {
  /// Lists what the file holds. Reads every float dataset once to count its missing values, in bounded memory; parts that are
  /// refused or damaged are listed with the reason.
  package func inspect() throws(DatasetError) -> FileInspection {
    var inspector = FileInspector(self)
    return try inspector.inspect()
  }
}
