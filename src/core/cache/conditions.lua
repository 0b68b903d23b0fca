-- Conditions on what is there, as in RFC 9110, section 13: '' is no condition, '*' is anything,
-- else tags with spaces between.

local function names(condition, tag)
  if condition == '*' then
    return true
  end
  for listed in string.gmatch(condition, '%S+') do
    if listed == tag then
      return true
    end
  end
  return false
end

local function hold(key, if_match, if_none_match)
  if if_match == '' and if_none_match == '' then
    return true
  end
  local tag = tag_of(key)
  if if_match ~= '' and not (tag and names(if_match, tag)) then
    return false
  end
  return if_none_match == '' or not (tag and names(if_none_match, tag))
end

