# cmake -DOUTPUT=FILE.cpp -DFLOWS=FILE,… -P embed_flows.cmake: the flow files as C++ string literals.
set(entries "")
string(REPLACE "," ";" FLOWS "${FLOWS}")
foreach(file IN LISTS FLOWS)
  get_filename_component(agent "${file}" NAME_WE)
  file(READ "${file}" text)
  string(APPEND entries "    {\"${agent}\", R\"flow(${text})flow\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "#include \"config/reference_flows.hpp\"

namespace flow_runner {

std::vector<ReferenceFlow> reference_flows() {
  return {
${entries}  };
}

}  // namespace flow_runner
")
